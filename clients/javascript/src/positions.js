/**
 * Where a client got to, kept beyond the life of a page.
 *
 * Storage may be full, forbidden or broken: then the client goes on from memory, as it does without storage.
 */

/** @typedef {import('./effects.js').Position} Position */

/**
 * What `localStorage` and `sessionStorage` are.
 *
 * @typedef {object} KeyValueStorage
 * @property {(key: string) => string | null} getItem
 * @property {(key: string, value: string) => void} setItem
 */

export class Positions {
  #storage;
  #key;

  /**
   * @param {KeyValueStorage | null} storage Null to keep nothing.
   * @param {string} userId A position is of one user.
   */
  constructor(storage, userId) {
    this.#storage = storage;
    this.#key = `harkara:position:${userId}`;
  }

  /** @returns {Position | null} What was kept; null where there is nothing, or nothing sound. */
  load() {
    try {
      const { epoch, seq } = JSON.parse(this.#storage?.getItem(this.#key) ?? 'null') ?? {};
      return typeof epoch === 'string' && Number.isSafeInteger(seq) && seq >= 0 ? { epoch, seq } : null;
    } catch {
      return null;
    }
  }

  /** @param {Position} position */
  save(position) {
    if (position.epoch === null) return;
    try {
      this.#storage?.setItem(this.#key, JSON.stringify(position));
    } catch {
      // See above.
    }
  }
}
