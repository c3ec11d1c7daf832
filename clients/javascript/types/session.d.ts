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
import { Progress } from './progress.js';
import { Subscription } from './subscription.js';
export type State = import('./states.js').State;
export type Move = import('./states.js').Move;
export type Effect = import('./effects.js').Effect;
export type Position = import('./effects.js').Position;
export type TimerName = import('./effects.js').TimerName;
export type CloseAction = import('./close_codes.js').CloseAction;
/** @typedef {import('./states.js').State} State */
/** @typedef {import('./states.js').Move} Move */
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').Position} Position */
/** @typedef {import('./effects.js').TimerName} TimerName */
/** @typedef {import('./close_codes.js').CloseAction} CloseAction */
/** How long connecting and authenticating may take together. */
export declare const HANDSHAKE_MS = 20000;
/**
 * Two changes of the subscription are told together if they are closer than this: the server counts messages, 20 a
 * second on average, and a change may take two.
 */
export declare const FLUSH_MS = 150;
export type SessionOptions = {
    userId?: string | null;
    userRole?: string | null;
    /**
     * Lets the server remember how far this device got.
     */
    deviceId?: string | null;
    /**
     * The token, where it is one for good.
     */
    token?: string | null;
    /**
     * Whether `fetch_token` can bring another token.
     */
    renewable?: boolean;
    /**
     * How far an earlier session got.
     */
    position?: Position | null;
    /**
     * Gives a number from 0 to under 1.
     */
    random: () => number;
    /**
     * How many ids of events to remember.
     */
    rememberedIds?: number;
    /**
     * After how many failures in a row `connection_failed` is told.
     */
    failuresUntilTold?: number;
};
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
export declare class Session {
    #private;
    /** @type {State} */
    state: State;
    subscription: Subscription;
    progress: Progress;
    /** @param {SessionOptions} options */
    constructor(options: SessionOptions);
    /** The token of now; null where there is none. */
    get token(): string | null;
    /** How far this client got. @returns {Position | null} */
    get position(): Position | null;
    /** How many attempts there were since the last connection; those to come are not counted. */
    get attempts(): number;
    get isOpen(): boolean;
    /** How many messages wait to be sent. */
    get queuedMessages(): number;
    /**
     * Be connected, from now on.
     *
     * @param {number} now Milliseconds; so everywhere.
     * @returns {Effect[]}
     */
    connect(now: number): Effect[];
    /**
     * Be connected no more. What is wanted, and how far it got, stay.
     *
     * @returns {Effect[]}
     */
    disconnect(): Effect[];
    /**
     * Want events of these types too.
     *
     * @param {readonly string[]} types
     * @param {number} now
     * @returns {Effect[]}
     * @throws {RangeError} More than a connection may have.
     */
    subscribe(types: readonly string[], now: number): Effect[];
    /**
     * Want them no more.
     *
     * @param {readonly string[]} types
     * @param {number} now
     * @returns {Effect[]}
     */
    unsubscribe(types: readonly string[], now: number): Effect[];
    /**
     * Have the server know what others want who share this connection.
     *
     * @param {Iterable<string>} types
     * @param {number} now
     * @returns {Effect[]}
     */
    shareWith(types: Iterable<string>, now: number): Effect[];
    /**
     * There is a token: one that was fetched, or one that the application had to say by itself.
     *
     * @param {string} token
     * @param {number} now
     * @returns {Effect[]}
     */
    tokenReady(token: string, now: number): Effect[];
    /**
     * No token could be fetched.
     *
     * @param {string} reason
     * @param {number} now
     * @returns {Effect[]}
     */
    tokenFailed(reason: string, now: number): Effect[];
    /**
     * The REST interface did not take this token.
     *
     * @param {string} token
     * @returns {Effect[]} None: the next attempt fetches another.
     */
    tokenRefused(token: string): Effect[];
    /**
     * The socket is open.
     *
     * @param {number} _now
     * @returns {Effect[]}
     */
    opened(_now: number): Effect[];
    /**
     * A message came.
     *
     * @param {unknown} message What the text of a frame said, as JSON.
     * @param {number} now
     * @returns {Effect[]}
     */
    received(message: unknown, now: number): Effect[];
    /**
     * The socket is closed, or could not be opened.
     *
     * @param {number} code
     * @param {string} reason
     * @param {number} now
     * @returns {Effect[]}
     */
    closed(code: number, reason: string, now: number): Effect[];
    /**
     * A timer that was set has run out.
     *
     * @param {TimerName} name
     * @param {number} now
     * @returns {Effect[]}
     */
    timerFired(name: TimerName, now: number): Effect[];
    /**
     * The machine woke, the network came back or is another one, or the page is seen again.
     *
     * @param {number} now
     * @returns {Effect[]}
     */
    woke(now: number): Effect[];
}
