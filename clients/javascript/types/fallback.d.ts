/**
 * The history in place of a connection: read again and again while, and only while, there is none.
 *
 * What does not belong here: reading it (`polling.js`), and what it brings (`progress.js`).
 */
export type Effect = import('./effects.js').Effect;
export type PollingOptions = import('./options.js').PollingOptions;
export type Session = import('./session.js').Session;
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./options.js').PollingOptions} PollingOptions */
/** @typedef {import('./session.js').Session} Session */
/** How long one reading may take, all of its pages together. */
export declare const READING_MS = 60000;
export declare class Fallback {
    #private;
    /**
     * @param {object} how
     * @param {import('./clock.js').Clock} how.clock
     * @param {() => number} how.random
     * @param {PollingOptions} how.polling
     * @param {string} how.userId
     * @param {Session} how.session
     * @param {(effects: Effect[]) => void} how.run Does what the session asks for.
     * @param {(name: string, detail: Record<string, unknown>) => void} how.tell
     */
    constructor({ clock, random, polling, userId, session, run, tell }: {
        clock: import('./clock.js').Clock;
        random: () => number;
        polling: PollingOptions;
        userId: string;
        session: Session;
        run: (effects: Effect[]) => void;
        tell: (name: string, detail: Record<string, unknown>) => void;
    });
    /** Begin or end, as the session stands now. */
    follow(): void;
}
