/**
 * The token of a session: whether it may be used, when to ask for another, and how often one was refused.
 *
 * What does not belong here: fetching one (`tokens.js`), sending it (`session.js`).
 */

import { told } from './effects.js';
import { heartbeat } from './messages.js';

/** @typedef {import('./effects.js').Effect} Effect */

/** How long before its token ends a connection asks for another. */
export const RENEW_EARLY_MS = 60_000;

/** How often in a row a new token may be refused. */
export const MAX_REFUSALS = 3;

/** Between two of these requests there is at least so long. */
export const RENEW_GAP_MS = 2_000;

/**
 * A renewal that is due sooner would come before the answer to the first heartbeat, which says what the server's time
 * is.
 */
const BEFORE_HEARD_MS = 45_000;

/** How long to wait for the server's time where it was asked for. */
export const TIME_MS = 5_000;

/** By how much a clock must be wrong to matter: what the server said was on its way for a while. */
const WRONG_CLOCK_MS = 5_000;

/** What `setTimeout` can wait for; more would be now. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class TokenLife {
  /** @type {string | null} */
  value;
  /** Whether another can be had by asking. */
  isRenewable;
  /** Whether another was asked for, and has not come yet. */
  isFetching = false;
  /** What was last offered to the server. @type {string | null} */
  #used = null;
  /** By how much the server's clock is ahead of this one, in milliseconds. */
  #aheadMs = 0;
  /** Whether the server's time was asked for, and is waited for. */
  #isTimeAwaited = false;
  /** When another was last asked for in a connection. */
  #renewedAt = -Infinity;
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
    return this.value === null || this.#left(now) < RENEW_EARLY_MS / 2;
  }

  /**
   * Ask for another, unless one is awaited.
   *
   * @returns {Effect[]}
   */
  fetch() {
    if (this.isFetching) return [];
    this.isFetching = true;
    const reason = this.value !== null ? 'expiring' : this.#wasRefused ? 'refused' : 'first';
    return [{ kind: 'fetch_token', reason }];
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
   * Take that it is offered to the server.
   *
   * @returns {string | null} It.
   */
  use() {
    this.#used = this.value;
    return this.value;
  }

  /** Whether it was offered to the server. */
  get isUsed() {
    return this.#used === this.value;
  }

  /**
   * Take what the server's time is. By a clock that is wrong a token would seem to have ended, or to last, for hours.
   *
   * @param {unknown} time ISO 8601.
   * @param {number} now
   * @returns {Effect[]}
   */
  learnTime(time, now) {
    const aheadMs = Date.parse(String(time)) - now;
    if (Number.isNaN(aheadMs)) return [];
    const wasAwaited = this.#isTimeAwaited;
    this.#isTimeAwaited = false;
    const isWrong = Math.abs(aheadMs - this.#aheadMs) > WRONG_CLOCK_MS;
    if (isWrong) this.#aheadMs = aheadMs;
    return isWrong || wasAwaited ? [this.renewLater(now)] : [];
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
    // The refusal is of the one before: a newer one came meanwhile.
    if (this.#used !== null && this.value !== null && !this.isUsed) return true;
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
   * Take that there is a connection: wait until it is time to ask for another. One that was just accepted and seems to
   * end soon may be short, or the clock wrong: then the server is asked for its time first.
   *
   * @param {number | undefined} ack How far this client got.
   * @param {number} now
   * @returns {Effect[]}
   */
  begin(ack, now) {
    this.#isTimeAwaited = this.#untilDue(now) < BEFORE_HEARD_MS;
    return [...(this.#isTimeAwaited ? [heartbeat(ack, now)] : []), this.renewLater(now)];
  }

  /**
   * Wait until it is time to ask for another: a minute before its end, or half of what is left if that is later.
   *
   * @param {number} now
   * @returns {Effect}
   */
  renewLater(now) {
    // Somebody may have set the clock back.
    const gap = Math.min(this.#renewedAt + RENEW_GAP_MS - now, RENEW_GAP_MS);
    const ms = Math.max(this.#untilDue(now), gap, this.#isTimeAwaited ? TIME_MS : 0);
    return { kind: 'set_timer', name: 'renew', ms: Math.min(ms, MAX_TIMER_MS) };
  }

  /**
   * That time may have come.
   *
   * @param {number} now
   * @returns {Effect[]}
   */
  renew(now) {
    this.#isTimeAwaited = false;
    // A timer cannot wait for long enough.
    if (this.#left(now) > 2 * RENEW_EARLY_MS) return [this.renewLater(now)];
    this.#renewedAt = now;
    if (this.isRenewable) return this.fetch();
    return [told('token_expiring', { expires_at: new Date(this.#endsAt ?? now).toISOString() })];
  }

  /**
   * @param {number} now
   * @returns {number} In how many milliseconds it is time to ask for another.
   */
  #untilDue(now) {
    const left = this.#left(now);
    return Math.max(left - RENEW_EARLY_MS, left / 2);
  }

  /**
   * @param {number} now
   * @returns {number} For how many milliseconds it lasts; infinite where nobody said.
   */
  #left(now) {
    return (this.#endsAt ?? Infinity) - this.#aheadMs - now;
  }
}
