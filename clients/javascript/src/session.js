/**
 * The client's half of the protocol (docs/protocol.md), without any I/O.
 *
 * What happens comes in by a method, with the time it happens at; what is to be done comes out as a list of effects, to
 * be done in that order. Sockets, timers, tokens and handlers are those of whoever holds the session (`service.js`), so
 * every conversation can be told by a test, and in another language's test too.
 *
 * Which states there are, and what leads from one to another, is a table (`states.js`). What a session knows stands with
 * who knows it: `progress.js`, `subscription.js`, `token_life.js`, `liveness.js`, `retries.js`.
 *
 * What does not belong here: sockets, timers, storage, the REST fallback.
 */

import { CLOSE_ACTIONS } from './close_codes.js';
import { told } from './effects.js';
import { Liveness } from './liveness.js';
import { auth, renewal } from './messages.js';
import { isSeq, Progress } from './progress.js';
import { Retries } from './retries.js';
import { after, HEARD } from './states.js';
import { Subscription } from './subscription.js';
import { TokenLife } from './token_life.js';

/** @typedef {import('./states.js').State} State */
/** @typedef {import('./states.js').Move} Move */
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').Position} Position */
/** @typedef {import('./effects.js').TimerName} TimerName */
/** @typedef {import('./close_codes.js').CloseAction} CloseAction */

/** How long connecting and authenticating may take together. */
export const HANDSHAKE_MS = 20_000;

/**
 * Two changes of the subscription are told together if they are closer than this: the server counts messages, 20 a
 * second on average, and a change may take two.
 */
export const FLUSH_MS = 150;

/**
 * @typedef {object} SessionOptions
 * @property {string | null} [userId]
 * @property {string | null} [userRole]
 * @property {string | null} [deviceId] Lets the server remember how far this device got.
 * @property {string | null} [token] The token, where it is one for good.
 * @property {boolean} [renewable] Whether `fetch_token` can bring another token.
 * @property {Position | null} [position] How far an earlier session got.
 * @property {() => number} random Gives a number from 0 to under 1.
 * @property {number} [rememberedIds] How many ids of events to remember.
 * @property {number} [failuresUntilTold] After how many failures in a row `connection_failed` is told.
 */

export class Session {
  /** @type {State} */
  state = 'idle';
  subscription = new Subscription();
  progress;
  #options;
  #token;
  #retries;
  #liveness = new Liveness();
  #failuresUntilTold;
  #resumed = false;
  #flushedAt = -Infinity;
  #flushing = false;
  /** The code of the error frame before a close. */
  #lastError = '';

  /** @param {SessionOptions} options */
  constructor(options) {
    this.#options = options;
    this.#token = new TokenLife(options.token ?? null, options.renewable ?? false);
    this.#retries = new Retries(options.random);
    this.progress = new Progress(options.position ?? null, options.rememberedIds ?? 2_000, (type) =>
      this.subscription.has(type),
    );
    this.#failuresUntilTold = options.failuresUntilTold ?? 5;
  }

  /** The token of now; null where there is none. */
  get token() {
    return this.#token.value;
  }

  /** How far this client got. @returns {Position | null} */
  get position() {
    return this.progress.position;
  }

  /** How many attempts there were since the last connection; those to come are not counted. */
  get attempts() {
    return this.#retries.attempts;
  }

  get isOpen() {
    return this.state === 'open';
  }

  /** How many messages wait to be sent. */
  get queuedMessages() {
    return this.subscription.waiting().length;
  }

  // What the application asks for.

  /**
   * Be connected, from now on.
   *
   * @param {number} now Milliseconds; so everywhere.
   * @returns {Effect[]}
   */
  connect(now) {
    if (this.state !== 'idle' && this.state !== 'stopped') return [];
    this.#move('connect');
    this.#retries.restart();
    this.#token.restart();
    return this.#attempt(now);
  }

  /**
   * Be connected no more. What is wanted, and how far it got, stay.
   *
   * @returns {Effect[]}
   */
  disconnect() {
    const was = this.state;
    this.#move('disconnect');
    this.#retries.restart();
    this.#token.isFetching = false;
    this.#flushing = false;
    /** @type {Effect[]} */
    const effects = [];
    if (was === 'open') {
      if (this.#options.deviceId && this.position) {
        effects.push({ kind: 'send', message: { type: 'ack', seq: this.position.seq } });
      }
    }
    this.subscription.startFrom([]);
    effects.push({ kind: 'clear_timers' }, { kind: 'close' });
    if (was === 'open') {
      effects.push(told('disconnected', { code: 1000, reason: 'disconnected', willReconnect: false }));
    } else if (was !== 'idle' && was !== 'stopped') {
      effects.push({
        kind: 'settle',
        failure: { code: 1000, reason: 'disconnected', attempts: 0, final: true },
      });
    }
    return effects;
  }

  /**
   * Want events of these types too.
   *
   * @param {readonly string[]} types
   * @param {number} now
   * @returns {Effect[]}
   * @throws {RangeError} More than a connection may have.
   */
  subscribe(types, now) {
    this.subscription.add(types);
    return this.#flush(now);
  }

  /**
   * Want them no more.
   *
   * @param {readonly string[]} types
   * @param {number} now
   * @returns {Effect[]}
   */
  unsubscribe(types, now) {
    this.subscription.remove(types);
    return this.#flush(now);
  }

  /**
   * Have the server know what others want who share this connection.
   *
   * @param {Iterable<string>} types
   * @param {number} now
   * @returns {Effect[]}
   */
  shareWith(types, now) {
    this.subscription.shareWith(types);
    return this.#flush(now);
  }

  // What the world brings.

  /**
   * There is a token: one that was fetched, or one that the application had to say by itself.
   *
   * @param {string} token
   * @param {number} now
   * @returns {Effect[]}
   */
  tokenReady(token, now) {
    this.#token.replace(token, this.isOpen);
    if (this.isOpen) return [renewal(this.#token.use()), this.#token.renewLater(now)];
    return this.state === 'fetching' ? this.#open() : [];
  }

  /**
   * No token could be fetched.
   *
   * @param {string} reason
   * @param {number} now
   * @returns {Effect[]}
   */
  tokenFailed(reason, now) {
    this.#token.isFetching = false;
    const error = told('error', { code: 'token_unavailable', message: reason });
    if (this.state === 'fetching') return [error, ...this.#lost('back_off', 1006, 'no token', now)];
    if (this.state === 'open') return [error, this.#token.renewLater(now)];
    return [];
  }

  /**
   * The REST interface did not take this token.
   *
   * @param {string} token
   * @returns {Effect[]} None: the next attempt fetches another.
   */
  tokenRefused(token) {
    if (token === this.#token.value && this.state === 'waiting') this.#token.forget();
    return [];
  }

  /**
   * The socket is open.
   *
   * @param {number} _now
   * @returns {Effect[]}
   */
  opened(_now) {
    this.#move('opened');
    const { asked } = this.subscription;
    const message = auth({ ...this.#options, token: this.#token.use(), position: this.position, asked });
    this.#resumed = message.resume !== undefined;
    this.subscription.startFrom(this.#resumed ? asked : []);
    return [{ kind: 'send', message }];
  }

  /**
   * A message came.
   *
   * @param {unknown} message What the text of a frame said, as JSON.
   * @param {number} now
   * @returns {Effect[]}
   */
  received(message, now) {
    this.#liveness.heard(now);
    if (typeof message !== 'object' || message === null) return [];
    const fields = /** @type {Record<string, any>} */ (message);
    const kind = typeof fields.event_type === 'string' ? 'event' : fields.type;
    if (!HEARD[this.state]?.has(kind)) return [];
    // Only an error right before a close says why.
    this.#lastError = '';
    switch (kind) {
      case 'event':
        return this.progress.event(fields);
      case 'authenticated':
        return this.state === 'open' ? this.#renewed(fields, now) : this.#authenticated(fields, now);
      case 'heartbeat_ack':
        return [...this.progress.advanced(fields.seq), ...this.#token.learnTime(fields.timestamp, now)];
      case 'subscription_updated':
        return [told('subscription_updated', fields)];
      default:
        return this.#error(fields, now);
    }
  }

  /**
   * The socket is closed, or could not be opened.
   *
   * @param {number} code
   * @param {string} reason
   * @param {number} now
   * @returns {Effect[]}
   */
  closed(code, reason, now) {
    if (this.state !== 'connecting' && !HEARD[this.state]) return [];
    // What the table does not have (1005 and 1006, which browsers make up; a proxy's 1001; a later server's) is a loss.
    return this.#lost(CLOSE_ACTIONS.get(code) ?? 'lost', code, this.#lastError || reason, now);
  }

  /**
   * A timer that was set has run out.
   *
   * @param {TimerName} name
   * @param {number} now
   * @returns {Effect[]}
   */
  timerFired(name, now) {
    switch (name) {
      case 'retry':
        return this.#due(now);
      case 'handshake':
        return this.#lost('lost', 1006, 'no answer in time', now);
      case 'heartbeat':
        return this.#liveness.beat(this.position?.seq, now);
      case 'silence': {
        const left = this.#liveness.silenceLeft(now);
        if (left > 0) return [{ kind: 'set_timer', name, ms: left }];
        return this.#lost('lost', 1006, 'silence', now);
      }
      case 'probe':
        return this.#liveness.isAsking ? this.#lost('lost', 1006, 'silence', now) : [];
      case 'wake':
        return this.woke(now);
      case 'renew':
        return this.#token.renew(now);
      case 'flush':
        this.#flushing = false;
        return this.#flush(now);
    }
  }

  /**
   * The machine woke, the network came back or is another one, or the page is seen again.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  woke(now) {
    // A server that asked for patience gets it, however often a page is looked at.
    const mayRetry = this.state === 'waiting' && !this.#retries.isPatient;
    const mayAsk = this.state === 'open' && !this.#liveness.isAsking;
    if (!mayRetry && !mayAsk) return [];
    const ms = this.#retries.woke(now);
    if (ms > 0) return [{ kind: 'set_timer', name: 'wake', ms }];
    return mayRetry ? this.#due(now) : this.#liveness.ask(this.position?.seq, now);
  }

  // The moves.

  /** @param {Move} move */
  #move(move) {
    this.state = after(this.state, move);
  }

  /**
   * Begin an attempt, in `fetching`.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  #attempt(now) {
    if (!this.#token.mustBeFetched(now)) return this.#open();
    return this.#token.fetch();
  }

  /** @returns {Effect[]} */
  #open() {
    this.#move('token');
    this.#lastError = '';
    return [{ kind: 'open' }, { kind: 'set_timer', name: 'handshake', ms: HANDSHAKE_MS }];
  }

  /**
   * @param {number} now
   * @returns {Effect[]}
   */
  #due(now) {
    this.#move('due');
    return [{ kind: 'clear_timers' }, ...this.#attempt(now)];
  }

  /**
   * @param {Record<string, any>} fields
   * @param {number} now
   * @returns {Effect[]}
   */
  #authenticated(fields, now) {
    if (this.progress.takeEpoch(String(fields.epoch ?? ''))) return this.#again(now);
    this.#move('authenticated');
    const recovered = this.#resumed && fields.recovered === true;
    const position = { epoch: String(fields.epoch ?? ''), seq: isSeq(fields.seq) ? fields.seq : 0 };
    const missed = this.progress.startAt(position, recovered);
    this.#retries.opened(now);
    this.#flushedAt = -Infinity;
    this.#token.accepted(fields.expires_at);
    return [
      { kind: 'clear_timers' },
      ...this.#liveness.begin(fields.heartbeat_interval, now),
      // One that came meanwhile, by `setToken` or late, is not told to the server yet.
      ...(this.#token.isUsed ? [] : [renewal(this.#token.use())]),
      ...this.#token.begin(this.position?.seq, now),
      { kind: 'keep', position: { ...position } },
      ...this.#flush(now),
      told('connected', { ...fields, recovered }),
      { kind: 'settle', failure: null },
      ...missed,
    ];
  }

  /**
   * Connect once more, to go on from where the history was read to: this connection began at the end, and what it
   * brings would be told before what came in between.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  #again(now) {
    this.#move('again');
    return [{ kind: 'clear_timers' }, { kind: 'close' }, ...this.#attempt(now)];
  }

  /**
   * The answer to an `auth` in a connection that stands.
   *
   * @param {Record<string, any>} fields
   * @param {number} now
   * @returns {Effect[]}
   */
  #renewed(fields, now) {
    this.#token.accepted(fields.expires_at);
    return [this.#token.renewLater(now)];
  }

  /**
   * An attempt failed, or a connection ended.
   *
   * @param {CloseAction | 'lost'} action
   * @param {number} code
   * @param {string} reason
   * @param {number} now
   * @returns {Effect[]}
   */
  #lost(action, code, reason, now) {
    const wasOpen = this.state === 'open';
    this.#retries.lost(action, wasOpen, now);
    const stops = action === 'stop' || (action === 'new_token' && !this.#token.refused());
    this.#move(stops ? 'refused' : 'lost');
    this.#flushing = false;
    this.subscription.startFrom([]);
    /** @type {Effect[]} */
    const effects = [{ kind: 'clear_timers' }, { kind: 'close' }];
    if (wasOpen) effects.push(told('disconnected', { code, reason, willReconnect: !stops }));
    if (stops) return [...effects, ...this.#failed(code, reason, true)];
    const delay = this.#retries.wait(action, wasOpen);
    effects.push({ kind: 'set_timer', name: 'retry', ms: delay });
    effects.push(told('reconnecting', { attempt: this.attempts, delay }));
    if (this.attempts === this.#failuresUntilTold) effects.push(...this.#failed(code, reason, false));
    return effects;
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {boolean} final
   * @returns {Effect[]}
   */
  #failed(code, reason, final) {
    const failure = { code, reason, attempts: this.attempts, final };
    return [
      { kind: 'settle', failure },
      told('connection_failed', failure),
    ];
  }

  // In a connection.

  /**
   * @param {Record<string, any>} fields
   * @param {number} now
   * @returns {Effect[]}
   */
  #error(fields, now) {
    this.#lastError = String(fields.code ?? '');
    const effects = [told('error', fields)];
    if (fields.code === 'rate_limited' && this.isOpen) {
      // Which message had no effect is not said. Coming back tells everything anew, and later, as it was asked.
      return [...effects, ...this.#lost('back_off', 4429, 'rate_limited', now)];
    }
    if (fields.code === 'unknown_event_type' || fields.code === 'too_many_subscriptions') {
      const types = Array.isArray(fields.events) ? fields.events.map(String) : [];
      if (this.subscription.refused(types)) effects.push(...this.#flush(now));
    }
    return effects;
  }

  /**
   * Tell the server of changes of the subscription, now or a little later.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  #flush(now) {
    if (this.state !== 'open' || this.#flushing || this.queuedMessages === 0) return [];
    // Somebody may have set the clock back.
    const ms = Math.min(this.#flushedAt + FLUSH_MS - now, FLUSH_MS);
    if (ms > 0) {
      this.#flushing = true;
      return [{ kind: 'set_timer', name: 'flush', ms }];
    }
    this.#flushedAt = now;
    return this.subscription.tell().map((message) => ({ kind: 'send', message: { ...message } }));
  }
}
