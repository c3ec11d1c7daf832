/**
 * Reads the history again and again while there is no connection.
 *
 * What does not belong here: reading it (`polling.js`).
 */
export declare class Fallback {
    #private;
    /**
     * @param {object} how
     * @param {import('./clock.js').Clock} how.clock
     * @param {() => number} how.random
     * @param {number} how.intervalMs Between two readings, on average.
     * @param {(signal: AbortSignal) => Promise<void>} how.poll Reads once; rejected where that failed.
     */
    constructor({ clock, random, intervalMs, poll }: {
        clock: import('./clock.js').Clock;
        random: () => number;
        intervalMs: number;
        poll: (signal: AbortSignal) => Promise<void>;
    });
    get isRunning(): boolean;
    /** Begin, at once. */
    start(): void;
    /** End; a reading that is under way counts no more. */
    stop(): void;
}
