/**
 * The tabs of a browser that share one connection.
 *
 * One of them leads: it holds a Web Lock, and with it the connection. The others are told over a BroadcastChannel what
 * comes. When the leader goes, for whatever reason, the browser gives the lock to the next one, which goes on from where
 * it was told that the leader stood. Every tab knows what the others want, so a new leader need not ask.
 *
 * A tab says so when it goes; one that crashes cannot. So each tab holds a lock of its own too, from before it says
 * anything, and the leader waits for each of these: it is given one when that tab is no more.
 *
 * What does not belong here: what is told, and what leading means (`sharing.js`).
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
 *   | {kind: 'status', isConnected: boolean, attempts: number, position: Position | null,
 *      connected: Record<string, unknown>}} TabMessage
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
  #types;
  #lead;
  #hear;
  #id;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** Aborted when this tab leaves: it then waits for no lock, and holds none. */
  #staying = new AbortController();
  /** Whether this tab holds its own lock; before, it says nothing. */
  #isPresent = false;
  #isLeader = false;
  /** What each other tab wants. @type {Map<string, string[]>} */
  #others = new Map();
  /** Of the leader: the locks of other tabs that it waits for. @type {Map<string, AbortController>} */
  #watches = new Map();

  /**
   * @param {object} how
   * @param {string} how.name Tabs of the same name are one group.
   * @param {string} how.id Of this tab, unlike any other's.
   * @param {TabPlatform} how.platform
   * @param {() => string[]} how.types Says what this tab wants now.
   * @param {() => void} how.lead Called when this tab is to lead.
   * @param {(message: TabMessage) => void} how.hear Called with what another tab says, or would have said at its end.
   */
  constructor({ name, id, platform, types, lead, hear }) {
    this.#name = name;
    this.#id = id;
    this.#platform = platform;
    this.#types = types;
    this.#lead = lead;
    this.#hear = hear;
  }

  get isMember() {
    return this.#channel !== null;
  }

  get isLeader() {
    return this.#isLeader;
  }

  /** What the others want. */
  get othersTypes() {
    return [...this.#others.values()].flat();
  }

  /** Become one of the group; lead it as soon as nobody else does. */
  join() {
    if (this.#channel || this.#isLeader) return;
    const channel = new this.#platform.BroadcastChannel(this.#name);
    this.#channel = channel;
    channel.addEventListener('message', ({ data }) => {
      if (channel === this.#channel) this.#heard(data);
    });
    this.#platform.window?.addEventListener('pagehide', this.#hidden);
    this.#platform.window?.addEventListener('pageshow', this.#shown);
    this.#staying = new AbortController();
    const { signal } = this.#staying;
    const failed = (/** @type {unknown} */ error) => {
      if (this.#isLeader) throw error;
      this.#leadAlone();
    };
    this.#hold(this.#lockOf(this.#id), signal, () => {
      this.#isPresent = true;
      this.#greet();
      this.#hold(this.#name, signal, () => {
        this.#isLeader = true;
        for (const id of this.#others.keys()) this.#watch(id);
        this.#lead();
      }).catch(failed);
    }).catch(failed);
  }

  /** There are locks, but not for this page (a sandboxed frame): it is a group of its own. */
  #leadAlone() {
    this.#quit();
    this.#isLeader = true;
    this.#lead();
  }

  /** Be one of the group no more. */
  leave() {
    this.#quit();
    this.#isLeader = false;
  }

  #quit() {
    this.#hidden();
    this.#platform.window?.removeEventListener('pagehide', this.#hidden);
    this.#platform.window?.removeEventListener('pageshow', this.#shown);
    this.#channel?.close();
    this.#channel = null;
    this.#isPresent = false;
    for (const id of [...this.#others.keys()]) this.#forget(id);
    this.#staying.abort();
  }

  /** Tell the others what is wanted here. */
  tellTypes() {
    this.post({ kind: 'types', types: this.#types() });
  }

  /** @param {TabMessage} message */
  post(message) {
    if (this.#isPresent) this.#channel?.postMessage({ ...message, from: this.#id });
  }

  #greet() {
    this.post({ kind: 'who' });
    this.tellTypes();
  }

  // A page that is left has no time for more than this.
  #hidden = () => this.post({ kind: 'bye' });

  /** A page that the browser had kept said `bye`, and heard nothing since. @param {any} event */
  #shown = ({ persisted }) => {
    if (persisted) this.#greet();
  };

  /** @param {string} id */
  #lockOf(id) {
    return `${this.#name}:tab:${id}`;
  }

  /**
   * Hold a lock, from when it is given.
   *
   * @param {string} name
   * @param {AbortSignal} signal Aborted when it is wanted no more, or enough was made of it.
   * @param {() => void} given
   * @returns {Promise<void>} Fulfilled when it is held no more. Rejected where it is not given, and where `given` throws.
   */
  async #hold(name, signal, given) {
    try {
      await this.#platform.locks.request(name, { signal }, () => {
        if (!signal.aborted) given();
        // It is held for as long as this promise is pending.
        return signal.aborted ? undefined : new Promise((resolve) => signal.addEventListener('abort', resolve));
      });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /**
   * As the leader, learn when a tab is no more.
   *
   * @param {string} id
   */
  #watch(id) {
    if (!this.#isLeader || !this.#isPresent || this.#watches.has(id)) return;
    const watch = new AbortController();
    this.#watches.set(id, watch);
    this.#hold(this.#lockOf(id), watch.signal, () => {
      this.#forget(id);
      this.#hear({ kind: 'bye' });
      // Not given: it is asked for again when that tab says something.
    }).catch(() => this.#watches.delete(id));
  }

  /** @param {string} id */
  #forget(id) {
    this.#others.delete(id);
    this.#watches.get(id)?.abort();
    this.#watches.delete(id);
  }

  /** @param {TabMessage & {from: string}} message */
  #heard(message) {
    // Others of this origin may say anything here.
    if (typeof message?.kind !== 'string' || typeof message.from !== 'string') return;
    if (message.kind === 'types') {
      const types = Array.isArray(message.types) ? message.types : [];
      this.#others.set(
        message.from,
        types.filter((type) => typeof type === 'string'),
      );
      this.#watch(message.from);
    }
    if (message.kind === 'bye') this.#forget(message.from);
    this.#hear(message);
  }
}
