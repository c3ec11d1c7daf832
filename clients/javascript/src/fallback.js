/**
 * The history in place of a connection: read again and again while, and only while, there is none.
 *
 * What does not belong here: reading it (`polling.js`), and what it brings (`progress.js`).
 */

import { backoff } from './backoff.js';
import { HistoryError, readHistory } from './polling.js';

/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./options.js').PollingOptions} PollingOptions */
/** @typedef {import('./session.js').Session} Session */

/** How long one reading may take, all of its pages together. */
export const READING_MS = 60_000;

export class Fallback {
  #clock;
  #random;
  #polling;
  #userId;
  #session;
  #run;
  #tell;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {unknown} */
  #timer;
  #failures = 0;
  /** Whether the history is read, with success. */
  #isActive = false;

  /**
   * @param {object} how
   * @param {import('./clock.js').Clock} how.clock
   * @param {() => number} how.random
   * @param {PollingOptions} how.polling
   * @param {string} how.userId
   * @param {Session} how.session
   * @param {(effects: Effect[]) => void} how.run Does what the session asks for.
   * @param {(name: string, detail: Record<string, unknown>) => void} how.tell
   */
  constructor({ clock, random, polling, userId, session, run, tell }) {
    this.#clock = clock;
    this.#random = random;
    this.#polling = polling;
    this.#userId = userId;
    this.#session = session;
    this.#run = run;
    this.#tell = tell;
  }

  /** Begin or end, as the session stands now. */
  follow() {
    const { state, attempts } = this.#session;
    const isAway = state === 'waiting' || state === 'fetching' || state === 'connecting' || state === 'authenticating';
    const wanted = isAway && attempts >= (this.#polling.afterFailures ?? 3);
    if ((this.#running !== null) === wanted) return;
    if (wanted) return this.#start();
    this.#running?.abort();
    this.#running = null;
    this.#clock.clearTimeout(this.#timer);
    this.#tellActive(false);
  }

  #start() {
    this.#running = new AbortController();
    this.#failures = 0;
    void this.#turn(this.#running.signal);
  }

  /** @param {AbortSignal} signal */
  async #turn(signal) {
    try {
      await this.#read(signal, this.#session.position?.seq ?? null);
      this.#failures = 0;
      if (!signal.aborted) this.#tellActive(true);
    } catch {
      // Told by the absence of events, as the lost connection was told: each failure would be noise.
      this.#failures += 1;
    }
    if (signal.aborted) return;
    // Those that were cut off together should not ask together.
    const spread = (this.#polling.intervalMs ?? 5_000) * (0.5 + this.#random());
    const wait = this.#failures > 0 ? Math.max(spread, backoff(this.#failures, this.#random)) : spread;
    this.#timer = this.#clock.setTimeout(() => void this.#turn(signal), wait);
  }

  /** @param {boolean} active */
  #tellActive(active) {
    if (active === this.#isActive) return;
    this.#isActive = active;
    this.#tell('polling', { active });
  }

  /**
   * @param {AbortSignal} signal
   * @param {number | null} after
   */
  async #read(signal, after) {
    const token = this.#session.token;
    // The next attempt to connect fetches one.
    if (token === null) throw new Error('no token');
    const reading = new AbortController();
    const end = () => reading.abort();
    signal.addEventListener('abort', end);
    const timer = this.#clock.setTimeout(end, READING_MS);
    try {
      const polled = await readHistory({
        url: this.#polling.url,
        userId: this.#userId,
        token,
        after,
        // Called without `this`, which browsers insist on.
        fetch: this.#polling.fetch ?? ((input, init) => fetch(input, init)),
        signal: reading.signal,
      });
      if (!signal.aborted) this.#run(this.#session.progress.polled(polled, after));
    } catch (error) {
      if (error instanceof HistoryError && error.status === 401) this.#run(this.#session.tokenRefused(token));
      throw error;
    } finally {
      signal.removeEventListener('abort', end);
      this.#clock.clearTimeout(timer);
    }
  }
}
