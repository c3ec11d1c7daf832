/**
 * How often it was tried, and how long to wait before the next time.
 *
 * A connection must last for a while before what failed earlier is forgotten: one that is accepted and dropped at once,
 * again and again, is a failure.
 *
 * What does not belong here: whether to try again at all (`session.js`), and how waits grow (`backoff.js`).
 */

import { waitAfter } from './backoff.js';

/** @typedef {import('./close_codes.js').CloseAction} CloseAction */

/** How long a connection must last for the one after it to count as the first attempt. */
export const LASTING_MS = 10_000;

/** What wakes a client may come in storms; between two attempts because of it there is at least so long. */
export const WAKE_GAP_MS = 2_000;

export class Retries {
  /** How many attempts there were since the last connection; those to come are not counted. */
  attempts = 0;
  /** Whether the server asked to be left alone for a while. */
  isPatient = false;
  /** How many attempts failed since a connection lasted. */
  #failures = 0;
  #openedAt = 0;
  #wokeAt = -Infinity;
  #random;

  /** @param {() => number} random Gives a number from 0 to under 1. */
  constructor(random) {
    this.#random = random;
  }

  /** Begin anew to count. */
  restart() {
    this.attempts = 0;
    this.#failures = 0;
    this.isPatient = false;
  }

  /**
   * Take that there is a connection.
   *
   * @param {number} now
   */
  opened(now) {
    this.attempts = 0;
    this.isPatient = false;
    this.#openedAt = now;
  }

  /**
   * Take that an attempt failed, or a connection ended.
   *
   * @param {CloseAction | 'lost'} action What is to follow.
   * @param {boolean} wasOpen Whether there was a connection.
   * @param {number} now
   */
  lost(action, wasOpen, now) {
    if (wasOpen && now - this.#openedAt >= LASTING_MS) this.#failures = 0;
    this.#failures += 1;
    this.attempts += 1;
    this.isPatient = action === 'back_off' || action === 'reconnect_spread';
  }

  /**
   * Say how long to wait before the next attempt.
   *
   * @param {CloseAction | 'lost'} action
   * @param {boolean} wasOpen
   * @returns {number} Milliseconds.
   */
  wait(action, wasOpen) {
    return waitAfter(action, this.#failures, wasOpen, this.#random);
  }

  /**
   * Take that something woke this client.
   *
   * @param {number} now
   * @returns {number} After how many milliseconds to look after the connection; 0 for at once.
   */
  woke(now) {
    const since = now - this.#wokeAt;
    // Somebody may have set the clock back.
    if (since >= 0 && since < WAKE_GAP_MS) return WAKE_GAP_MS - since;
    this.#wokeAt = now;
    return 0;
  }
}
