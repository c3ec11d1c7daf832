/**
 * Where a client got to, kept beyond the life of a page.
 *
 * Storage may be full, forbidden or broken: then the client goes on from memory, as it does without storage.
 */
export type Position = import('./effects.js').Position;
export type KeyValueStorage = {
    getItem: (key: string) => string | null;
    setItem: (key: string, value: string) => void;
};
/** @typedef {import('./effects.js').Position} Position */
/**
 * What `localStorage` and `sessionStorage` are.
 *
 * @typedef {object} KeyValueStorage
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 */
export declare class Positions {
    #private;
    /**
     * @param {KeyValueStorage | null} storage Null to keep nothing.
     * @param {string} userId A position is of one user.
     */
    constructor(storage: KeyValueStorage | null, userId: string);
    /** @returns {Position | null} What was kept; null where there is nothing, or nothing sound. */
    load(): Position | null;
    /** @param {Position} position */
    save(position: Position): void;
}
