/**
 * The history over REST, in place of a connection: for networks that let no WebSocket through.
 *
 * It reads backwards from the newest event to where the client stands, page by page (`before_seq`), and hands on what
 * it found in the order in which it happened. Numbers have no hole, so nothing is missed, and what a connection brings
 * later is not told again. What is stored nowhere does not come this way; what is superseded or expired does.
 *
 * What does not belong here: when to poll (`service.js`), and what a new event means (`session.js`).
 */
export type HarkaraEvent = import('../types/events.js').HarkaraEvent;
/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */
/** How many events a page has at most. */
export declare const PAGE_SIZE = 100;
/** Past so many pages it is a gap rather than a history: the client goes on with those it has read. */
export declare const MAX_PAGES = 50;
export type Polled = {
    /**
     * Those after `after`, rising by `seq`.
     */
    events: HarkaraEvent[];
    /**
     * Up to where the history was read.
     */
    seq: number;
    /**
     * Whether they are all there are in between.
     */
    complete: boolean;
};
/**
 * @typedef {object} Polled
 * @property {HarkaraEvent[]} events Those after `after`, rising by `seq`.
 * @property {number} seq Up to where the history was read.
 * @property {boolean} complete Whether they are all there are in between.
 */
/** An answer of the REST interface that is none of success. */
export declare class HistoryError extends Error {
    status: number;
    /** @param {number} status The HTTP status. */
    constructor(status: number);
}
/**
 * Read what a user's history has after a number.
 *
 * @param {object} how
 * @param {string} how.url Where REST is: `https://server`, without the path.
 * @param {string} how.userId
 * @param {string} how.token
 * @param {number | null} how.after Null to learn only where the history ends.
 * @param {typeof globalThis.fetch} how.fetch
 * @param {AbortSignal} how.signal
 * @returns {Promise<Polled>}
 * @throws {HistoryError} The answer is no success.
 */
export declare function readHistory({ url, userId, token, after, fetch, signal }: {
    url: string;
    userId: string;
    token: string;
    after: number | null;
    fetch: typeof globalThis.fetch;
    signal: AbortSignal;
}): Promise<Polled>;
