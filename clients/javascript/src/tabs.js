/**
 * The tabs of a browser that share one connection.
 *
 * One of them leads: it holds a Web Lock, and with it the connection. The others are told over a BroadcastChannel what
 * comes. When the leader goes, for whatever reason, the browser gives the lock to the next one, which goes on from where
 * it was told that the leader stood. Every tab knows what the others want, so a new leader need not ask.
 *
 * What does not belong here: what is told, and what leading means (`service.js`).
 */

/** @typedef {import('./effects.js').Position} Position */

/**
 * What tabs tell each other.
 *
 * @typedef {{kind: 'who'}
 *   | {kind: 'types', types: string[]}
 *   | {kind: 'bye'}
 *   | {kind: 'event', event: import('../types/events.js').HarkaraEvent}
 *   | {kind: 'told', name: string, detail: unknown}
 *   | {kind: 'status', isConnected: boolean, attempts: number, position: Position | null}} TabMessage
 */

/**
 * What a browser has for this.
 *
 * @typedef {object} TabPlatform
 * @property {Pick<LockManager, 'request'>} locks
 * @property {typeof globalThis.BroadcastChannel} BroadcastChannel
 * @property {Pick<EventTarget, 'addEventListener' | 'removeEventListener'>} [window]
 */

/** @returns {TabPlatform | null} Null where a browser, or Node, has not got it. */
export function tabPlatform() {
  const { navigator, BroadcastChannel, window } = globalThis;
  return navigator?.locks && BroadcastChannel ? { locks: navigator.locks, BroadcastChannel, window } : null;
}

export class TabGroup {
  #name;
  #platform;
  #lead;
  #hear;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {AbortController | null} */
  #waiting = null;
  /** @type {(() => void) | null} */
  #release = null;
  /** What each other tab wants. @type {Map<string, string[]>} */
  #others = new Map();
  #id;

  /**
   * @param {object} how
   * @param {string} how.name Tabs of the same name are one group.
   * @param {string} how.id Of this tab, unlike any other's.
   * @param {TabPlatform} how.platform
   * @param {() => void} how.lead Called when this tab is to lead.
   * @param {(message: TabMessage) => void} how.hear Called with what another tab says.
   */
  constructor({ name, id, platform, lead, hear }) {
    this.#name = name;
    this.#id = id;
    this.#platform = platform;
    this.#lead = lead;
    this.#hear = hear;
  }

  get isMember() {
    return this.#channel !== null;
  }

  get isLeader() {
    return this.#release !== null;
  }

  /** What the others want. */
  get othersTypes() {
    return [...this.#others.values()].flat();
  }

  /**
   * Become one of the group; lead it as soon as nobody else does.
   *
   * @param {string[]} types What this tab wants.
   */
  join(types) {
    if (this.#channel) return;
    const channel = new this.#platform.BroadcastChannel(this.#name);
    this.#channel = channel;
    channel.addEventListener('message', ({ data }) => {
      if (channel === this.#channel) this.#heard(data);
    });
    this.#platform.window?.addEventListener('pagehide', this.#hidden);
    this.post({ kind: 'who' });
    this.post({ kind: 'types', types });
    const waiting = new AbortController();
    this.#waiting = waiting;
    this.#platform.locks
      .request(this.#name, { signal: waiting.signal }, () => {
        if (waiting.signal.aborted) return undefined;
        // The lock is held for as long as this promise is pending.
        const held = new Promise((resolve) => {
          this.#release = () => resolve(undefined);
        });
        this.#lead();
        return held;
      })
      .catch(() => {
        // Aborted: this tab left before it could lead.
      });
  }

  /** Be one of the group no more. */
  leave() {
    this.#hidden();
    this.#platform.window?.removeEventListener('pagehide', this.#hidden);
    this.#channel?.close();
    this.#channel = null;
    this.#others.clear();
    if (this.#release) this.#release();
    else this.#waiting?.abort();
    this.#release = null;
    this.#waiting = null;
  }

  // A page that is left has no time for more than this.
  #hidden = () => this.post({ kind: 'bye' });

  /** @param {TabMessage} message */
  post(message) {
    this.#channel?.postMessage({ ...message, from: this.#id });
  }

  /** @param {TabMessage & {from: string}} message */
  #heard(message) {
    if (message.kind === 'types') this.#others.set(message.from, message.types);
    if (message.kind === 'bye') this.#others.delete(message.from);
    this.#hear(message);
  }
}
