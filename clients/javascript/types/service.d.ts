/**
 * The client of an application: `WebSocketService`.
 *
 * It gives a `Session` a socket, timers, tokens and handlers, and decides nothing: what to do is the session's list of
 * effects (`session.js`).
 */
export type Effect = import('./effects.js').Effect;
export type ServiceOptions = import('./options.js').ServiceOptions;
export type Status = import('./options.js').Status;
export type EventType = import('../types/events.js').EventType;
export type HarkaraEvent = import('../types/events.js').HarkaraEvent;
/** Receives a user's events. */
export declare class WebSocketService {
    #private;
    /**
     * @param {string | URL | null} url The server's address; null to take it from
     *   `<meta name="harkara-websocket-url" content="…">`, or else the page's own origin.
     * @param {string | null | import('./tokens.js').TokenProvider} token A token, or a function that gives one, at once
     *   or by a promise; it is called first, when a token is about to end, and when one was refused.
     * @param {string | null} [userId] The user that the token must be of.
     * @param {ServiceOptions} [options]
     * @throws {TypeError} There is no such address, or no WebSocket, or storage without a user id.
     */
    constructor(url: string | URL | null, token: string | null | import('./tokens.js').TokenProvider, userId?: string | null, options?: ServiceOptions);
    /**
     * Be connected, and stay so until `disconnect`.
     *
     * @returns {Promise<void>} Fulfilled once authenticated. Rejected with a `ConnectionError` when the server will not
     *   have this client, after `failuresUntilTold` failures (while trying goes on), and by `disconnect`.
     */
    connect(): Promise<void>;
    /** Be connected no more. Subscriptions, and how far this client got, stay for the next `connect`. */
    disconnect(): void;
    /**
     * Receive events of these types too, now or once connected.
     *
     * @param {EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]} types `*` for all.
     * @throws {RangeError} More than a connection may have.
     * @throws {TypeError} One of them cannot be a type's name.
     */
    subscribe(types: EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]): void;
    /**
     * Receive them no more.
     *
     * @param {EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]} types
     */
    unsubscribe(types: EventType | '*' | (string & {}) | readonly (EventType | '*' | (string & {}))[]): void;
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
    on<Name extends import('./options.js').Name>(name: Name, handler: (detail: import('./options.js').DetailOf<Name>) => unknown): this;
    /**
     * Undo `on`.
     *
     * @param {string} name
     * @param {(detail: any) => unknown} [handler] Which; all of this name without it.
     * @returns {this}
     */
    off(name: string, handler?: (detail: any) => unknown): this;
    /** @returns {Status} */
    getStatus(): Status;
    /**
     * Go on with this token: for who gave a token and not a function, on `token_expiring`.
     *
     * @param {string} token Of the same user.
     * @throws {TypeError} That is none.
     */
    setToken(token: string): void;
}
