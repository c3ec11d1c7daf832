/**
 * The token of a session: whether it may be used, when to ask for another, and how often one was refused.
 *
 * What does not belong here: fetching one (`tokens.js`), sending it (`session.js`).
 */
export type Effect = import('./effects.js').Effect;
/** @typedef {import('./effects.js').Effect} Effect */
/** How long before its token ends a connection asks for another. */
export declare const RENEW_EARLY_MS = 60000;
/** How often in a row a new token may be refused. */
export declare const MAX_REFUSALS = 3;
/** Between two of these requests there is at least so long. */
export declare const RENEW_GAP_MS = 2000;
/** How long to wait for the server's time where it was asked for. */
export declare const TIME_MS = 5000;
export declare class TokenLife {
    #private;
    /** @type {string | null} */
    value: string | null;
    /** Whether another can be had by asking. */
    isRenewable: boolean;
    /** Whether another was asked for, and has not come yet. */
    isFetching: boolean;
    /**
     * @param {string | null} value
     * @param {boolean} isRenewable
     */
    constructor(value: string | null, isRenewable: boolean);
    /**
     * Say whether another must be fetched before this one is used.
     *
     * @param {number} now
     */
    mustBeFetched(now: number): boolean;
    /**
     * Ask for another, unless one is awaited.
     *
     * @returns {Effect[]}
     */
    fetch(): Effect[];
    /**
     * Take another.
     *
     * @param {string} value
     * @param {boolean} isInUse Whether there is a connection: until its answer comes, the old token's end counts, since
     *   it may be that nobody can verify the new one now.
     */
    replace(value: string, isInUse: boolean): void;
    /**
     * Take that it is offered to the server.
     *
     * @returns {string | null} It.
     */
    use(): string | null;
    /** Whether it was offered to the server. */
    get isUsed(): boolean;
    /**
     * Take what the server's time is. By a clock that is wrong a token would seem to have ended, or to last, for hours.
     *
     * @param {unknown} time ISO 8601.
     * @param {number} now
     * @returns {Effect[]}
     */
    learnTime(time: unknown, now: number): Effect[];
    /**
     * Take what the server says of its end; it was accepted.
     *
     * @param {unknown} endsAt ISO 8601.
     */
    accepted(endsAt: unknown): void;
    /**
     * Take that the server did not accept it.
     *
     * @returns {boolean} Whether another may be tried.
     */
    refused(): boolean;
    /** Use this one no more, where another can be had. */
    forget(): void;
    /** Begin anew to count. */
    restart(): void;
    /**
     * Take that there is a connection: wait until it is time to ask for another. One that was just accepted and seems to
     * end soon may be short, or the clock wrong: then the server is asked for its time first.
     *
     * @param {number | undefined} ack How far this client got.
     * @param {number} now
     * @returns {Effect[]}
     */
    begin(ack: number | undefined, now: number): Effect[];
    /**
     * Wait until it is time to ask for another: a minute before its end, or half of what is left if that is later.
     *
     * @param {number} now
     * @returns {Effect}
     */
    renewLater(now: number): Effect;
    /**
     * That time may have come.
     *
     * @param {number} now
     * @returns {Effect[]}
     */
    renew(now: number): Effect[];
}
