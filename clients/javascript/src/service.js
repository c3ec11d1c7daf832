/**
 * The client of an application: `WebSocketService`.
 *
 * It gives a `Session` a socket, timers, tokens and handlers, and decides nothing: what to do is the session's list of
 * effects (`session.js`).
 */

import { SYSTEM_CLOCK } from './clock.js';
import { ConnectionError } from './errors.js';
import { Fallback } from './fallback.js';
import { Handlers } from './handlers.js';
import { Positions } from './positions.js';
import { Session } from './session.js';
import { Sharing } from './sharing.js';
import { tabPlatform } from './tabs.js';
import { fetchToken } from './tokens.js';
import { websocketUrl } from './url.js';
import { watchWakeups } from './wakeups.js';

/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./options.js').ServiceOptions} ServiceOptions */
/** @typedef {import('./options.js').Status} Status */
/** @typedef {import('../types/events.js').EventType} EventType */
/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */

/** What is told beside events. A deployment's own type of such a name is told to `*` only. */
const RESERVED = new Set([
  '*',
  'connected',
  'disconnected',
  'reconnecting',
  'connection_failed',
  'subscription_updated',
  'gap',
  'error',
  'token_expiring',
  'polling',
]);

const DEVICE_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** What can be a type's name. The server ends a connection that says anything else again and again. */
const TYPE = /^[^\0\p{Surrogate}]{1,64}$/u;

/** Receives a user's events. */
export class WebSocketService {
  #url;
  #WebSocket;
  #clock;
  #session;
  #positions;
  #handlers;
  /** @type {import('./tokens.js').TokenProvider | null} */
  #provider;
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {Map<string, unknown>} */
  #timers = new Map();
  /** @type {{promise: Promise<void>, resolve: () => void, reject: (error: Error) => void} | null} */
  #connecting = null;
  /** @type {(() => void) | null} */
  #endWatch = null;
  /** @type {Fallback | null} */
  #fallback = null;
  /** @type {Sharing | null} */
  #sharing = null;
  /** @type {Effect[]} */
  #effects = [];
  #isRunning = false;
  /** Aborted when what was asked of the token provider counts no more. */
  #asking = new AbortController();

  /**
   * @param {string | URL | null} url The server's address; null to take it from
   *   `<meta name="harkara-websocket-url" content="…">`, or else the page's own origin.
   * @param {string | null | import('./tokens.js').TokenProvider} token A token, or a function that gives one, at once
   *   or by a promise; it is called first, when a token is about to end, and when one was refused.
   * @param {string | null} [userId] The user that the token must be of.
   * @param {ServiceOptions} [options]
   * @throws {TypeError} There is no such address, or no WebSocket, or storage without a user id.
   */
  constructor(url, token, userId = null, options = {}) {
    this.#url = websocketUrl(url, globalThis);
    const Socket = options.WebSocket ?? globalThis.WebSocket;
    if (typeof Socket !== 'function') throw new TypeError('no WebSocket here: give one by options.WebSocket');
    if (options.storage && !userId) throw new TypeError('storage needs a user id');
    if (options.polling && !userId) throw new TypeError('polling needs a user id');
    if (options.shareTabs && !userId) throw new TypeError('sharing tabs needs a user id');
    // The server would take one of another form for none.
    if (options.deviceId && !DEVICE_ID.test(options.deviceId)) throw new TypeError('not the name of a device');
    this.#WebSocket = Socket;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#provider = typeof token === 'function' ? token : null;
    this.#positions = new Positions(options.storage ?? null, userId ?? '');
    this.#handlers = new Handlers((error) => this.#handlerFailed(error));
    const random = options.random ?? Math.random;
    const session = new Session({
      userId,
      userRole: options.userRole ?? null,
      deviceId: options.deviceId ?? null,
      token: typeof token === 'function' ? null : token,
      renewable: typeof token === 'function',
      position: this.#positions.load(),
      random,
      rememberedIds: options.rememberedIds,
      failuresUntilTold: options.failuresUntilTold,
    });
    this.#session = session;
    const run = (/** @type {Effect[]} */ effects) => this.#run(effects);
    if (options.polling) {
      this.#fallback = new Fallback({
        clock: this.#clock,
        random,
        polling: options.polling,
        userId: userId ?? '',
        session,
        run,
        tell: (name, detail) => this.#tell(name, detail),
      });
    }
    const platform = options.shareTabs ? (options.tabPlatform ?? tabPlatform()) : null;
    if (platform) {
      this.#sharing = new Sharing({
        name: `harkara:${this.#url}:${userId}`,
        platform,
        session,
        now: () => this.#clock.now(),
        run,
        settle: (failure) => this.#settle(failure),
        tell: (name, detail) => this.#handlers.tell(name, detail),
      });
    }
  }

  /**
   * Be connected, and stay so until `disconnect`.
   *
   * @returns {Promise<void>} Fulfilled once authenticated. Rejected with a `ConnectionError` when the server will not
   *   have this client, after `failuresUntilTold` failures (while trying goes on), and by `disconnect`.
   */
  connect() {
    if (this.getStatus().isConnected) return Promise.resolve();
    if (!this.#connecting) {
      /** @type {() => void} */
      let resolve = () => {};
      /** @type {(error: Error) => void} */
      let reject = () => {};
      const promise = /** @type {Promise<void>} */ (
        new Promise((fulfil, refuse) => {
          resolve = fulfil;
          reject = refuse;
        })
      );
      // Who does not look at the promise is told by `connection_failed`, and not by an unhandled rejection.
      promise.catch(() => {});
      this.#connecting = { promise, resolve, reject };
    }
    const { promise } = this.#connecting;
    this.#endWatch ??= watchWakeups(
      {
        window: globalThis.window,
        document: globalThis.document,
        connection: /** @type {any} */ (globalThis.navigator)?.connection,
      },
      () => this.#run(this.#session.woke(this.#clock.now())),
    );
    if (this.#sharing) this.#sharing.join();
    else this.#run(this.#session.connect(this.#clock.now()));
    return promise;
  }

  /** Be connected no more. Subscriptions, and how far this client got, stay for the next `connect`. */
  disconnect() {
    this.#asking.abort();
    this.#watchNoMore();
    const failure = { code: 1000, reason: 'disconnected', attempts: 0, final: true };
    this.#run(this.#session.disconnect());
    const hadAnothers = this.#sharing?.leave();
    this.#settle(failure);
    if (hadAnothers) {
      this.#handlers.tell('disconnected', { code: 1000, reason: 'disconnected', willReconnect: false });
    }
  }

  /**
   * Receive events of these types too, now or once connected.
   *
   * @param {EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]} types `*` for all.
   * @throws {RangeError} More than a connection may have.
   * @throws {TypeError} One of them cannot be a type's name.
   */
  subscribe(types) {
    this.#run(this.#session.subscribe(listOf(types), this.#clock.now()));
    this.#sharing?.tellTypes();
  }

  /**
   * Receive them no more.
   *
   * @param {EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]} types
   */
  unsubscribe(types) {
    this.#run(this.#session.unsubscribe(listOf(types), this.#clock.now()));
    this.#sharing?.tellTypes();
  }

  /**
   * Call a function for each event of a type, for each event (`*`), or when something happens: `connected`,
   * `disconnected`, `reconnecting`, `connection_failed`, `gap`, `error`, `subscription_updated`, `token_expiring`,
   * `polling`.
   *
   * @template {import('./options.js').Name} Name
   * @param {Name} name
   * @param {(detail: import('./options.js').DetailOf<Name>) => unknown} handler
   * @returns {this}
   */
  on(name, handler) {
    this.#handlers.add(name, handler);
    return this;
  }

  /**
   * Undo `on`.
   *
   * @param {string} name
   * @param {(detail: any) => unknown} [handler] Which; all of this name without it.
   * @returns {this}
   */
  off(name, handler) {
    this.#handlers.remove(name, handler);
    return this;
  }

  /** @returns {Status} */
  getStatus() {
    const subscriptions = this.#session.subscription.wanted;
    const queuedMessages = this.#session.queuedMessages;
    if (this.#sharing?.follows) {
      const { isConnected, attempts } = this.#sharing.status;
      // What another tab is to tell the server is told to it at once.
      return {
        isConnected,
        subscriptions,
        queuedMessages: isConnected ? 0 : queuedMessages,
        reconnectAttempts: attempts,
      };
    }
    return {
      isConnected: this.#session.isOpen,
      subscriptions,
      queuedMessages,
      reconnectAttempts: this.#session.attempts,
    };
  }

  /**
   * Go on with this token: for who gave a token and not a function, on `token_expiring`.
   *
   * @param {string} token Of the same user.
   * @throws {TypeError} That is none.
   */
  setToken(token) {
    if (typeof token !== 'string' || token === '') throw new TypeError('a token is a text');
    this.#asking.abort();
    this.#run(this.#session.tokenReady(token, this.#clock.now()));
  }

  /**
   * Do these, after what is being done: a handler may call back into this client in the middle of a list.
   *
   * @param {Effect[]} effects
   */
  #run(effects) {
    this.#effects.push(...effects);
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      for (let effect = this.#effects.shift(); effect; effect = this.#effects.shift()) this.#do(effect);
    } finally {
      // What a browser's part threw is not to silence this client for good.
      this.#isRunning = false;
    }
    this.#fallback?.follow();
    this.#sharing?.yieldWhereStopped();
  }

  /** @param {Effect} effect */
  #do(effect) {
    switch (effect.kind) {
      case 'fetch_token':
        return this.#fetchToken(effect.reason);
      case 'open':
        return this.#open();
      case 'send':
        return this.#send(effect.message);
      case 'close':
        return this.#close();
      case 'set_timer':
        return this.#setTimer(effect.name, effect.ms);
      case 'clear_timers':
        for (const timer of this.#timers.values()) this.#clock.clearTimeout(timer);
        return this.#timers.clear();
      case 'event':
        this.#sharing?.event(effect.event);
        return effect.isWanted ? this.#tellEvent(effect.event) : undefined;
      case 'tell':
        return this.#tell(effect.name, effect.detail);
      case 'keep':
        return this.#sharing?.follows ? undefined : this.#positions.save(effect.position);
      case 'settle':
        if (effect.failure?.final) this.#watchNoMore();
        return this.#settle(effect.failure);
    }
  }

  #watchNoMore() {
    this.#endWatch?.();
    this.#endWatch = null;
  }

  #open() {
    /** @type {WebSocket} */
    let socket;
    try {
      socket = new this.#WebSocket(this.#url);
    } catch (error) {
      // A page of https: may not open ws:, and a policy may forbid the address.
      return this.#run(this.#session.closed(1006, messageOf(error), this.#clock.now()));
    }
    this.#socket = socket;
    // What a socket says that is not ours any more counts for nothing.
    const listen = (/** @type {string} */ name, /** @type {(event: any) => Effect[]} */ heard) => {
      socket.addEventListener(name, (event) => {
        if (socket === this.#socket) this.#run(heard(event));
      });
    };
    listen('open', () => this.#session.opened(this.#clock.now()));
    listen('message', ({ data }) => this.#session.received(parsed(data), this.#clock.now()));
    listen('close', ({ code, reason }) => this.#session.closed(code, reason, this.#clock.now()));
    // Of a connection that stood, `close` follows and says more; of one that could not be had there is no more to say,
    // and Node 20 lets nothing follow. Without a listener some implementations throw.
    listen('error', () =>
      this.#session.state === 'connecting' ? this.#session.closed(1006, 'no connection', this.#clock.now()) : [],
    );
  }

  /** @param {Record<string, unknown>} message */
  #send(message) {
    try {
      this.#socket?.send(JSON.stringify(message));
    } catch (error) {
      // Some implementations throw where the connection is closing; browsers do not.
      this.#run(this.#session.closed(1006, messageOf(error), this.#clock.now()));
    }
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  /**
   * @param {import('./effects.js').TimerName} name
   * @param {number} ms
   */
  #setTimer(name, ms) {
    this.#clock.clearTimeout(this.#timers.get(name));
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(name);
      this.#run(this.#session.timerFired(name, this.#clock.now()));
    }, ms);
    this.#timers.set(name, timer);
  }

  /** @param {import('./effects.js').TokenReason} reason */
  #fetchToken(reason) {
    this.#asking.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    const provider = /** @type {import('./tokens.js').TokenProvider} */ (this.#provider);
    fetchToken(provider, reason, this.#clock, signal).then(
      (token) => {
        if (!signal.aborted) this.#run(this.#session.tokenReady(token, this.#clock.now()));
      },
      (error) => {
        if (!signal.aborted) this.#run(this.#session.tokenFailed(messageOf(error), this.#clock.now()));
      },
    );
  }

  /**
   * @param {string} name
   * @param {Record<string, unknown>} detail
   */
  #tell(name, detail) {
    this.#sharing?.told(name, detail);
    this.#handlers.tell(name, detail);
  }

  /** @param {HarkaraEvent} event */
  #tellEvent(event) {
    if (!RESERVED.has(event.type)) this.#handlers.tell(event.type, event);
    this.#handlers.tell('*', event);
  }

  /** @param {import('./effects.js').ConnectionFailure | null} failure */
  #settle(failure) {
    const connecting = this.#connecting;
    this.#connecting = null;
    if (failure) connecting?.reject(new ConnectionError(failure));
    else connecting?.resolve();
  }

  /** @param {unknown} error */
  #handlerFailed(error) {
    // A handler of `error` that fails would be told of itself for ever.
    console.error('harkara: a handler failed', error);
  }
}

/**
 * @param {string | readonly string[]} types
 * @returns {string[]}
 * @throws {TypeError} One of them cannot be a type's name.
 */
function listOf(types) {
  const list = typeof types === 'string' ? [types] : [...types];
  for (const type of list) {
    if (typeof type !== 'string' || !TYPE.test(type)) throw new TypeError(`not the name of a type: ${String(type)}`);
  }
  return list;
}

/**
 * @param {unknown} data
 * @returns {unknown} Null for what is no JSON.
 */
function parsed(data) {
  try {
    return JSON.parse(String(data));
  } catch {
    return null;
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
