/**
 * Which events were seen, by their id, in bounded memory.
 *
 * A connection that broke may bring its last events again on the next one. Those are the newest, so the oldest ids may
 * be forgotten.
 */
export declare class SeenIds {
    #private;
    /** @param {number} limit How many ids to remember; 1 or more. */
    constructor(limit: number);
    /**
     * Remember an id.
     *
     * @param {string} id
     * @returns {boolean} Whether it is new.
     */
    add(id: string): boolean;
}
