/**
 * One connection for the tabs of a browser: what a tab that leads does for the others, and what the others make of it.
 *
 * What does not belong here: who leads (`tabs.js`).
 */

import { TabGroup } from './tabs.js';

/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').ConnectionFailure} ConnectionFailure */
/** @typedef {import('./session.js').Session} Session */

export class Sharing {
  #tabs;
  #session;
  #now;
  #run;
  #settle;
  #tell;
  /** What the tab that has the connection last said of it. */
  #leader = { isConnected: false, attempts: 0 };
  /** Of a tab that follows: whether it was told `connected`, and not `disconnected` since. */
  #isToldConnected = false;
  /** Of a tab that leads: what it last told by `connected`. @type {Record<string, unknown>} */
  #connected = {};

  /**
   * @param {object} how
   * @param {string} how.name Tabs of the same name share a connection.
   * @param {import('./tabs.js').TabPlatform} how.platform
   * @param {Session} how.session This tab's; it connects where the tab leads.
   * @param {() => number} how.now
   * @param {(effects: Effect[]) => void} how.run Does what the session asks for.
   * @param {(failure: ConnectionFailure | null) => void} how.settle Answers who waits for a connection.
   * @param {(name: string, detail: unknown) => void} how.tell Calls this tab's handlers.
   */
  constructor({ name, platform, session, now, run, settle, tell }) {
    this.#session = session;
    this.#now = now;
    this.#run = run;
    this.#settle = settle;
    this.#tell = tell;
    this.#tabs = new TabGroup({
      name,
      id: crypto.randomUUID(),
      platform,
      types: () => session.subscription.wanted,
      lead: () => this.#lead(),
      hear: (message) => this.#hear(message),
    });
  }

  /** Whether another tab has the connection. */
  get follows() {
    return this.#tabs.isMember && !this.#tabs.isLeader;
  }

  /** Of a tab that follows: how the connection stands. */
  get status() {
    return this.#leader;
  }

  /** Share from now on. */
  join() {
    this.#tabs.join();
  }

  /**
   * Share no more.
   *
   * @returns {boolean} Whether this tab had another's connection.
   */
  leave() {
    this.#tabs.leave();
    return this.#forgetLeader();
  }

  /** Tell the other tabs what is wanted here. */
  tellTypes() {
    this.#tabs.tellTypes();
  }

  /**
   * Hand on an event.
   *
   * @param {import('../types/events.js').HarkaraEvent} event
   */
  event(event) {
    if (this.#tabs.isLeader) this.#tabs.post({ kind: 'event', event });
  }

  /**
   * Hand on what happened to the connection.
   *
   * @param {string} name
   * @param {Record<string, unknown>} detail
   */
  told(name, detail) {
    if (name === 'connected') this.#connected = detail;
    this.#tellStatus();
    // It is told with the status, also to a tab that comes later.
    if (name === 'connected') return;
    // That it tries no more is this tab's own affair: the next one will try.
    if (!this.#tabs.isLeader || detail.final) return;
    const shared = name === 'disconnected' ? { ...detail, willReconnect: true } : detail;
    this.#tabs.post({ kind: 'told', name, detail: shared });
  }

  /** Let the next tab try where the server will not have this one: it may have a token that is taken. */
  yieldWhereStopped() {
    if (this.#session.state === 'stopped' && this.#tabs.isLeader) this.leave();
  }

  /** This tab is to have the connection. */
  #lead() {
    const detail = { code: 1006, reason: 'the tab with the connection is gone', willReconnect: true };
    this.#shareTypes();
    // One that crashed could not say so.
    this.told('disconnected', detail);
    if (this.#forgetLeader()) this.#tell('disconnected', detail);
    this.#run(this.#session.connect(this.#now()));
  }

  /** @returns {boolean} Whether there was another's connection. */
  #forgetLeader() {
    const hadAnothers = this.#isToldConnected;
    this.#isToldConnected = false;
    this.#leader = { isConnected: false, attempts: 0 };
    return hadAnothers;
  }

  #shareTypes() {
    this.#run(this.#session.shareWith(this.#tabs.othersTypes, this.#now()));
  }

  /** Tell the other tabs how the connection stands, if it is here. */
  #tellStatus() {
    if (!this.#tabs.isLeader) return;
    const { isOpen: isConnected, attempts, position } = this.#session;
    this.#tabs.post({ kind: 'status', isConnected, attempts, position, connected: this.#connected });
  }

  /** @param {import('./tabs.js').TabMessage} message */
  #hear(message) {
    switch (message.kind) {
      case 'who':
        this.#tellStatus();
        return this.#tabs.tellTypes();
      case 'types':
      case 'bye':
        return this.#shareTypes();
    }
    // A leader that was frozen may speak after another has taken its place.
    if (!this.follows) return;
    switch (message.kind) {
      case 'event':
        return this.#run(this.#session.progress.event(message.event));
      case 'status':
        this.#leader = { isConnected: message.isConnected, attempts: message.attempts };
        this.#session.progress.standAt(message.position);
        if (!message.isConnected) return;
        this.#settle(null);
        if (this.#isToldConnected) return;
        this.#isToldConnected = true;
        return this.#tell('connected', message.connected);
      case 'told':
        if (message.name === 'disconnected') {
          if (!this.#isToldConnected) return;
          this.#isToldConnected = false;
        }
        if (message.name === 'connection_failed') {
          this.#settle(/** @type {ConnectionFailure} */ (message.detail));
        }
        if (message.name === 'error') this.#dropRefused(message.detail);
        return this.#tell(message.name, message.detail);
    }
  }

  /**
   * Want no more what the server refused to the tab that has the connection.
   *
   * @param {any} error
   */
  #dropRefused({ events }) {
    if (Array.isArray(events) && this.#session.subscription.remove(events.map(String))) this.#tabs.tellTypes();
  }
}
