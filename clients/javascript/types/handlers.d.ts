/**
 * Who wants to be told what.
 *
 * A handler that throws harms neither the others nor the connection.
 */
export type Handler = (detail: any) => unknown;
/** @typedef {(detail: any) => unknown} Handler */
export declare class Handlers {
    #private;
    /** @param {(error: unknown) => void} failed Is told what a handler threw, or its promise was rejected with. */
    constructor(failed: (error: unknown) => void);
    /**
     * @param {string} name
     * @param {Handler} handler Added once, however often it is given.
     */
    add(name: string, handler: Handler): void;
    /**
     * @param {string} name
     * @param {Handler} [handler] Which to remove; all of this name without it.
     */
    remove(name: string, handler?: Handler): void;
    /**
     * Say whether anybody would be told.
     *
     * @param {string} name
     */
    has(name: string): boolean;
    /**
     * Call the handlers of a name, in the order in which they were added.
     *
     * @param {string} name
     * @param {unknown} detail
     */
    tell(name: string, detail: unknown): void;
}
