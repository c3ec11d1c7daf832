/**
 * Who wants to be told what.
 *
 * A handler that throws harms neither the others nor the connection.
 */

/** @typedef {(detail: any) => unknown} Handler */

export class Handlers {
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  #failed;

  /** @param {(error: unknown) => void} failed Is told what a handler threw, or its promise was rejected with. */
  constructor(failed) {
    this.#failed = failed;
  }

  /**
   * @param {string} name
   * @param {Handler} handler Added once, however often it is given.
   */
  add(name, handler) {
    if (typeof handler !== 'function') throw new TypeError('a handler is a function');
    const handlers = this.#handlers.get(name) ?? new Set();
    this.#handlers.set(name, handlers.add(handler));
  }

  /**
   * @param {string} name
   * @param {Handler} [handler] Which to remove; all of this name without it.
   */
  remove(name, handler) {
    const handlers = this.#handlers.get(name);
    if (handler) handlers?.delete(handler);
    if (!handler || handlers?.size === 0) this.#handlers.delete(name);
  }

  /**
   * Say whether anybody would be told.
   *
   * @param {string} name
   */
  has(name) {
    return this.#handlers.has(name);
  }

  /**
   * Call the handlers of a name, in the order in which they were added.
   *
   * @param {string} name
   * @param {unknown} detail
   */
  tell(name, detail) {
    // A copy: a handler may add and remove handlers.
    for (const handler of [...(this.#handlers.get(name) ?? [])]) {
      try {
        const done = handler(detail);
        // Any thenable: a library's, or another window's, is no Promise of this one.
        if (typeof (/** @type {any} */ (done)?.then) === 'function') Promise.resolve(done).catch(this.#failed);
      } catch (error) {
        this.#failed(error);
      }
    }
  }
}
