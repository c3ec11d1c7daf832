/**
 * How often it was tried, and how long to wait before the next time.
 *
 * A connection must last for a while before what failed earlier is forgotten: one that is accepted and dropped at once,
 * again and again, is a failure.
 *
 * What does not belong here: whether to try again at all (`session.js`), and how waits grow (`backoff.js`).
 */
export type CloseAction = import('./close_codes.js').CloseAction;
/** @typedef {import('./close_codes.js').CloseAction} CloseAction */
/** How long a connection must last for the one after it to count as the first attempt. */
export declare const LASTING_MS = 10000;
/** What wakes a client may come in storms; between two attempts because of it there is at least so long. */
export declare const WAKE_GAP_MS = 2000;
export declare class Retries {
    #private;
    /** How many attempts there were since the last connection; those to come are not counted. */
    attempts: number;
    /** Whether the server asked to be left alone for a while. */
    isPatient: boolean;
    /** @param {() => number} random Gives a number from 0 to under 1. */
    constructor(random: () => number);
    /** Begin anew to count. */
    restart(): void;
    /**
     * Take that there is a connection.
     *
     * @param {number} now
     */
    opened(now: number): void;
    /**
     * Take that an attempt failed, or a connection ended.
     *
     * @param {CloseAction | 'lost'} action What is to follow.
     * @param {boolean} wasOpen Whether there was a connection.
     * @param {number} now
     */
    lost(action: CloseAction | 'lost', wasOpen: boolean, now: number): void;
    /**
     * Say how long to wait before the next attempt.
     *
     * @param {CloseAction | 'lost'} action
     * @param {boolean} wasOpen
     * @returns {number} Milliseconds.
     */
    wait(action: CloseAction | 'lost', wasOpen: boolean): number;
    /**
     * Take that something woke this client.
     *
     * @param {number} now
     * @returns {number} After how many milliseconds to look after the connection; 0 for at once.
     */
    woke(now: number): number;
}
