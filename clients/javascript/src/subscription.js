/**
 * What is wanted, what the server was told, and the difference.
 *
 * While there is no connection, changes wait here. They wait as that difference and not as a list of messages, so what
 * waits is bounded: at most one message of each kind, however often a page changed its mind.
 *
 * What does not belong here: when to send (`session.js`).
 */

/** How many entries the server lets a connection have, unless it is set otherwise. */
export const MAX_SUBSCRIPTIONS = 200;

/**
 * @typedef {object} SubscriptionMessage
 * @property {'subscribe' | 'unsubscribe'} type
 * @property {string[]} events
 */

export class Subscription {
  /** @type {Set<string>} */
  #wanted = new Set();
  /** @type {Set<string>} */
  #others = new Set();
  /** @type {Set<string>} */
  #told = new Set();

  /** What is wanted here, in the order first asked for. */
  get wanted() {
    return [...this.#wanted];
  }

  /** What the server is to know: what is wanted here, and then by others who share the connection. */
  get asked() {
    return [...new Set([...this.#wanted, ...this.#others])].slice(0, MAX_SUBSCRIPTIONS);
  }

  /**
   * Take that others who share the connection want these, and no more.
   *
   * @param {Iterable<string>} types
   */
  shareWith(types) {
    this.#others = new Set(types);
  }

  /**
   * Want these too.
   *
   * @param {readonly string[]} types
   * @throws {RangeError} There would be more than a connection may have; nothing is changed.
   */
  add(types) {
    const wanted = new Set([...this.#wanted, ...types]);
    if (wanted.size > MAX_SUBSCRIPTIONS) {
      throw new RangeError(`at most ${MAX_SUBSCRIPTIONS} subscriptions`);
    }
    this.#wanted = wanted;
  }

  /**
   * Want these no more.
   *
   * @param {readonly string[]} types
   * @returns {boolean} Whether any of them was wanted.
   */
  remove(types) {
    let changed = false;
    for (const type of types) changed = this.#wanted.delete(type) || changed;
    return changed;
  }

  /**
   * Take that the server refused a message because of these: they are wanted no more, and what else stood in that
   * message is to be told again.
   *
   * @param {readonly string[]} types
   * @returns {boolean} Whether any of them was wanted.
   */
  refused(types) {
    let changed = this.remove(types);
    for (const type of types) changed = this.#others.delete(type) || changed;
    // Which message it was is not said. To subscribe to what is subscribed already is no error.
    if (changed) for (const type of [...this.asked, ...types]) this.#told.delete(type);
    return changed;
  }

  /**
   * Say whether events of a type are wanted here.
   *
   * @param {string} type
   */
  has(type) {
    return this.#wanted.has(type) || this.#wanted.has('*');
  }

  /**
   * Take that a new connection knows of these and no others.
   *
   * @param {readonly string[]} types
   */
  startFrom(types) {
    this.#told = new Set(types);
  }

  /**
   * Return the messages that would tell the server what it does not know yet.
   *
   * @returns {SubscriptionMessage[]}
   */
  waiting() {
    const asked = this.asked;
    const added = asked.filter((type) => !this.#told.has(type));
    const removed = [...this.#told].filter((type) => !asked.includes(type));
    /** @type {SubscriptionMessage[]} */
    const messages = [];
    // What goes, goes first: the two together may be more than a connection may have.
    if (removed.length > 0) messages.push({ type: 'unsubscribe', events: removed });
    if (added.length > 0) messages.push({ type: 'subscribe', events: added });
    return messages;
  }

  /**
   * Return those messages, and take that they are told.
   *
   * @returns {SubscriptionMessage[]}
   */
  tell() {
    const messages = this.waiting();
    this.#told = new Set(this.asked);
    return messages;
  }
}
