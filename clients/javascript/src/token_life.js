/**
 * The token of a session: whether it may be used, when to ask for another, and how often one was refused.
 *
 * What does not belong here: fetching one (`tokens.js`), sending it (`session.js`).
 */

/** @typedef {import('./effects.js').TokenReason} TokenReason */

/** How long before its token ends a connection asks for another. */
export const RENEW_EARLY_MS = 60_000;

/** How often in a row a new token may be refused. */
export const MAX_REFUSALS = 3;

/** What `setTimeout` can wait for; more would be now. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class TokenLife {
  /** @type {string | null} */
  value;
  /** Whether another can be had by asking. */
  isRenewable;
  /** Whether another was asked for, and has not come yet. */
  isFetching = false;
  #wasRefused = false;
  #refusals = 0;
  /** When it ends; null where nobody said. @type {number | null} */
  #endsAt = null;

  /**
   * @param {string | null} value
   * @param {boolean} isRenewable
   */
  constructor(value, isRenewable) {
    this.value = value;
    this.isRenewable = isRenewable;
  }

  /**
   * Say whether another must be fetched before this one is used.
   *
   * @param {number} now
   */
  mustBeFetched(now) {
    if (!this.isRenewable) return false;
    // Tokens may live for less than twice that: one that was just given is not about to end.
    return this.value === null || (this.#endsAt !== null && this.#endsAt - now < RENEW_EARLY_MS / 2);
  }

  /**
   * Take that another is asked for.
   *
   * @returns {TokenReason} Why.
   */
  fetch() {
    this.isFetching = true;
    if (this.value !== null) return 'expiring';
    return this.#wasRefused ? 'refused' : 'first';
  }

  /**
   * Take another.
   *
   * @param {string} value
   * @param {boolean} isInUse Whether there is a connection: until its answer comes, the old token's end counts, since
   *   it may be that nobody can verify the new one now.
   */
  replace(value, isInUse) {
    this.isFetching = false;
    this.value = value;
    if (!isInUse) this.#endsAt = null;
  }

  /**
   * Take what the server says of its end; it was accepted.
   *
   * @param {unknown} endsAt ISO 8601.
   */
  accepted(endsAt) {
    const time = Date.parse(String(endsAt));
    this.#endsAt = Number.isNaN(time) ? null : time;
    this.#refusals = 0;
  }

  /**
   * Take that the server did not accept it.
   *
   * @returns {boolean} Whether another may be tried.
   */
  refused() {
    this.#refusals += 1;
    this.forget();
    return this.isRenewable && this.#refusals <= MAX_REFUSALS;
  }

  /** Use this one no more, where another can be had. */
  forget() {
    this.#wasRefused = true;
    this.#endsAt = null;
    // One that is for good is kept: the application may know better.
    if (this.isRenewable) this.value = null;
  }

  /** Begin anew to count. */
  restart() {
    this.#refusals = 0;
  }

  /**
   * Say for how long it lasts.
   *
   * @param {number} now
   * @returns {number} Milliseconds; infinite where nobody said.
   */
  left(now) {
    return (this.#endsAt ?? Infinity) - now;
  }

  /**
   * Say how long to wait before asking for another.
   *
   * @param {number} now
   * @returns {number} Milliseconds: until a minute before its end, or half of what is left if that is later; never a
   *   tight loop, and nothing that a timer cannot do.
   */
  renewIn(now) {
    const left = this.left(now);
    return Math.min(Math.max(left - RENEW_EARLY_MS, left / 2, 1_000), MAX_TIMER_MS);
  }

  /**
   * Say whether it is time to ask for another; a timer may have run out early.
   *
   * @param {number} now
   */
  isDue(now) {
    return this.left(now) <= 2 * RENEW_EARLY_MS;
  }
}
