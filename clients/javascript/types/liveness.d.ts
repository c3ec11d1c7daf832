/**
 * Whether the connection of now is alive: when something was heard of it last, when to say something, and when to ask
 * for an answer.
 *
 * A machine that sleeps, and a page that is hidden, stop timers or delay them. So a heartbeat that is due and comes much
 * too late says that this client was away: then the connection is asked, rather than trusted.
 *
 * What does not belong here: what follows where it is dead (`session.js`), and what wakes a client (`wakeups.js`).
 */
export type Effect = import('./effects.js').Effect;
/** @typedef {import('./effects.js').Effect} Effect */
/** A connection of which nothing is heard for so long is dead. */
export declare const SILENCE_MS = 75000;
/** How long an answer may take where one was asked for. */
export declare const PROBE_MS = 10000;
/** A heartbeat that is so late was due while this client was away. */
export declare const LATE_MS = 5000;
export declare class Liveness {
    #private;
    /** Whether an answer was asked for, and nothing was heard since. */
    isAsking: boolean;
    /**
     * Take that there is a connection.
     *
     * @param {unknown} interval How many seconds the server wants between heartbeats.
     * @param {number} now
     * @returns {Effect[]}
     */
    begin(interval: unknown, now: number): Effect[];
    /**
     * Take that something was heard.
     *
     * @param {number} now
     */
    heard(now: number): void;
    /**
     * Say something: a heartbeat is due.
     *
     * @param {number | undefined} ack How far this client got.
     * @param {number} now
     * @returns {Effect[]}
     */
    beat(ack: number | undefined, now: number): Effect[];
    /**
     * Ask for an answer, unless one is awaited.
     *
     * @param {number | undefined} ack How far this client got.
     * @param {number} now
     * @returns {Effect[]}
     */
    ask(ack: number | undefined, now: number): Effect[];
    /**
     * Say for how long it may still be silent.
     *
     * @param {number} now
     * @returns {number} Milliseconds; 0 or less where it is dead.
     */
    silenceLeft(now: number): number;
}
