/**
 * One connection for the tabs of a browser: what a tab that leads does for the others, and what the others make of it.
 *
 * What does not belong here: who leads (`tabs.js`).
 */
export type Effect = import('./effects.js').Effect;
export type ConnectionFailure = import('./effects.js').ConnectionFailure;
export type Session = import('./session.js').Session;
/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').ConnectionFailure} ConnectionFailure */
/** @typedef {import('./session.js').Session} Session */
export declare class Sharing {
    #private;
    /**
     * @param {object} how
     * @param {string} how.name Tabs of the same name share a connection.
     * @param {import('./tabs.js').TabPlatform} how.platform
     * @param {Session} how.session This tab's; it connects where the tab leads.
     * @param {() => number} how.now
     * @param {(effects: Effect[]) => void} how.run Does what the session asks for.
     * @param {(failure: ConnectionFailure | null) => void} how.settle Answers who waits for a connection.
     * @param {(name: string, detail: unknown) => void} how.tell Calls this tab's handlers.
     */
    constructor({ name, platform, session, now, run, settle, tell }: {
        name: string;
        platform: import('./tabs.js').TabPlatform;
        session: Session;
        now: () => number;
        run: (effects: Effect[]) => void;
        settle: (failure: ConnectionFailure | null) => void;
        tell: (name: string, detail: unknown) => void;
    });
    /** Whether another tab has the connection. */
    get follows(): boolean;
    /** Of a tab that follows: how the connection stands. */
    get status(): {
        isConnected: boolean;
        attempts: number;
    };
    /** Share from now on. */
    join(): void;
    /**
     * Share no more.
     *
     * @returns {boolean} Whether this tab had another's connection.
     */
    leave(): boolean;
    /** Tell the other tabs what is wanted here. */
    tellTypes(): void;
    /**
     * Hand on an event.
     *
     * @param {import('../types/events.js').HarkaraEvent} event
     */
    event(event: import('../types/events.js').HarkaraEvent): void;
    /**
     * Hand on what happened to the connection.
     *
     * @param {string} name
     * @param {Record<string, unknown>} detail
     */
    told(name: string, detail: Record<string, unknown>): void;
    /** Let the next tab try where the server will not have this one: it may have a token that is taken. */
    yieldWhereStopped(): void;
}
