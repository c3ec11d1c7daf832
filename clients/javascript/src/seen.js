/**
 * Which events were seen, by their id, in bounded memory.
 *
 * A connection that broke may bring its last events again on the next one. Those are the newest, so the oldest ids may
 * be forgotten.
 */

export class SeenIds {
  /** @type {Set<string>} */
  #ids = new Set();
  #limit;

  /** @param {number} limit How many ids to remember; 1 or more. */
  constructor(limit) {
    this.#limit = limit;
  }

  /**
   * Remember an id.
   *
   * @param {string} id
   * @returns {boolean} Whether it is new.
   */
  add(id) {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > this.#limit) {
      // A Set iterates in the order of insertion.
      for (const oldest of this.#ids) {
        this.#ids.delete(oldest);
        break;
      }
    }
    return true;
  }
}
