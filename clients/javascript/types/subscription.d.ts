/**
 * What is wanted, what the server was told, and the difference.
 *
 * While there is no connection, changes wait here. They wait as that difference and not as a list of messages, so what
 * waits is bounded: at most one message of each kind, however often a page changed its mind.
 *
 * What does not belong here: when to send (`session.js`).
 */
/** How many entries the server lets a connection have, unless it is set otherwise. */
export declare const MAX_SUBSCRIPTIONS = 200;
export type SubscriptionMessage = {
    type: 'subscribe' | 'unsubscribe';
    events: string[];
};
/**
 * @typedef {object} SubscriptionMessage
 * @property {'subscribe' | 'unsubscribe'} type
 * @property {string[]} events
 */
export declare class Subscription {
    #private;
    /** What is wanted here, in the order first asked for. */
    get wanted(): string[];
    /** What the server is to know: what is wanted here, and then by others who share the connection. */
    get asked(): string[];
    /**
     * Take that others who share the connection want these, and no more.
     *
     * @param {Iterable<string>} types
     */
    shareWith(types: Iterable<string>): void;
    /**
     * Want these too.
     *
     * @param {readonly string[]} types
     * @throws {RangeError} There would be more than a connection may have; nothing is changed.
     */
    add(types: readonly string[]): void;
    /**
     * Want these no more.
     *
     * @param {readonly string[]} types
     * @returns {boolean} Whether any of them was wanted.
     */
    remove(types: readonly string[]): boolean;
    /**
     * Take that the server refused a message because of these: they are wanted no more, and what else stood in that
     * message is to be told again.
     *
     * @param {readonly string[]} types
     * @returns {boolean} Whether any of them was wanted.
     */
    refused(types: readonly string[]): boolean;
    /**
     * Say whether events of a type are wanted here.
     *
     * @param {string} type
     */
    has(type: string): boolean;
    /**
     * Take that a new connection knows of these and no others.
     *
     * @param {readonly string[]} types
     */
    startFrom(types: readonly string[]): void;
    /**
     * Return the messages that would tell the server what it does not know yet.
     *
     * @returns {SubscriptionMessage[]}
     */
    waiting(): SubscriptionMessage[];
    /**
     * Return those messages, and take that they are told.
     *
     * @returns {SubscriptionMessage[]}
     */
    tell(): SubscriptionMessage[];
}
