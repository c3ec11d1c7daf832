/**
 * Whether the connection of now is alive: when something was heard of it last, when to say something, and when to ask
 * for an answer.
 *
 * A machine that sleeps, and a page that is hidden, stop timers or delay them. So a heartbeat that is due and comes much
 * too late says that this client was away: then the connection is asked, rather than trusted.
 *
 * What does not belong here: what follows where it is dead (`session.js`), and what wakes a client (`wakeups.js`).
 */

import { heartbeat } from './messages.js';

/** @typedef {import('./effects.js').Effect} Effect */

/** A connection of which nothing is heard for so long is dead. */
export const SILENCE_MS = 75_000;

/** How long an answer may take where one was asked for. */
export const PROBE_MS = 10_000;

/** A heartbeat that is so late was due while this client was away. */
export const LATE_MS = 5_000;

export class Liveness {
  #heardAt = 0;
  #heartbeatMs = 30_000;
  /** When the next heartbeat is due. */
  #beatAt = 0;
  /** Whether an answer was asked for, and nothing was heard since. */
  isAsking = false;

  /**
   * Take that there is a connection.
   *
   * @param {unknown} interval How many seconds the server wants between heartbeats.
   * @param {number} now
   * @returns {Effect[]}
   */
  begin(interval, now) {
    this.heard(now);
    const ms = Number(interval) * 1_000;
    // At least two within the time after which a connection is dead, and no flood.
    this.#heartbeatMs = ms > 0 ? Math.min(Math.max(ms, 1_000), SILENCE_MS / 2) : 30_000;
    return [this.#beatLater(now), { kind: 'set_timer', name: 'silence', ms: SILENCE_MS }];
  }

  /**
   * Take that something was heard.
   *
   * @param {number} now
   */
  heard(now) {
    this.#heardAt = now;
    this.isAsking = false;
  }

  /**
   * Say something: a heartbeat is due.
   *
   * @param {number | undefined} ack How far this client got.
   * @param {number} now
   * @returns {Effect[]}
   */
  beat(ack, now) {
    const isLate = now - this.#beatAt >= LATE_MS;
    const later = this.#beatLater(now);
    return isLate ? [...this.ask(ack, now), later] : [heartbeat(ack, now), later];
  }

  /**
   * Ask for an answer, unless one is awaited.
   *
   * @param {number | undefined} ack How far this client got.
   * @param {number} now
   * @returns {Effect[]}
   */
  ask(ack, now) {
    if (this.isAsking) return [];
    this.isAsking = true;
    return [heartbeat(ack, now), { kind: 'set_timer', name: 'probe', ms: PROBE_MS }];
  }

  /**
   * Say for how long it may still be silent.
   *
   * @param {number} now
   * @returns {number} Milliseconds; 0 or less where it is dead.
   */
  silenceLeft(now) {
    // Somebody may have set the clock back.
    return Math.min(this.#heardAt + SILENCE_MS - now, SILENCE_MS);
  }

  /**
   * @param {number} now
   * @returns {Effect}
   */
  #beatLater(now) {
    this.#beatAt = now + this.#heartbeatMs;
    return { kind: 'set_timer', name: 'heartbeat', ms: this.#heartbeatMs };
  }
}
