/**
 * Reads the history again and again while there is no connection.
 *
 * What does not belong here: reading it (`polling.js`).
 */

import { backoff } from './backoff.js';

export class Fallback {
  #clock;
  #random;
  #intervalMs;
  #poll;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {unknown} */
  #timer;
  #failures = 0;

  /**
   * @param {object} how
   * @param {import('./clock.js').Clock} how.clock
   * @param {() => number} how.random
   * @param {number} how.intervalMs Between two readings, on average.
   * @param {(signal: AbortSignal) => Promise<void>} how.poll Reads once; rejected where that failed.
   */
  constructor({ clock, random, intervalMs, poll }) {
    this.#clock = clock;
    this.#random = random;
    this.#intervalMs = intervalMs;
    this.#poll = poll;
  }

  get isRunning() {
    return this.#running !== null;
  }

  /** Begin, at once. */
  start() {
    if (this.#running) return;
    this.#running = new AbortController();
    this.#failures = 0;
    void this.#turn(this.#running.signal);
  }

  /** End; a reading that is under way counts no more. */
  stop() {
    this.#running?.abort();
    this.#running = null;
    this.#clock.clearTimeout(this.#timer);
  }

  /** @param {AbortSignal} signal */
  async #turn(signal) {
    try {
      await this.#poll(signal);
      this.#failures = 0;
    } catch {
      // Told by the absence of events, as the lost connection was told: each failure would be noise.
      this.#failures += 1;
    }
    if (signal.aborted) return;
    // Those that were cut off together should not ask together.
    const spread = this.#intervalMs * (0.5 + this.#random());
    const wait = this.#failures > 0 ? Math.max(spread, backoff(this.#failures, this.#random)) : spread;
    this.#timer = this.#clock.setTimeout(() => void this.#turn(signal), wait);
  }
}
