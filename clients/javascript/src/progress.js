/**
 * How far this client got in its user's stream, and what it has seen of it.
 *
 * A position, {epoch, seq}, goes with `resume` whenever there is one; so a reconnect has neither a hole nor a repeat, or
 * is told that there is a hole (`gap`). A position of the history alone has no epoch, until a connection tells it.
 *
 * What does not belong here: which events are wanted (`subscription.js`), and where a position is kept
 * (`positions.js`).
 */

import { told } from './effects.js';
import { SeenIds } from './seen.js';

/** @typedef {import('./effects.js').Effect} Effect */
/** @typedef {import('./effects.js').Position} Position */
/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */

export class Progress {
  /** @type {Position | null} */
  position;
  #seen;
  #isWanted;

  /**
   * @param {Position | null} position How far an earlier session got.
   * @param {number} rememberedIds How many ids of events to remember.
   * @param {(type: string) => boolean} isWanted Whether the application wants events of a type.
   */
  constructor(position, rememberedIds, isWanted) {
    this.position = position;
    this.#seen = new SeenIds(rememberedIds);
    this.#isWanted = isWanted;
  }

  /**
   * Another's connection, which this client shares, stands there.
   *
   * @param {Position | null} position
   */
  standAt(position) {
    if (position && (this.position?.epoch !== position.epoch || this.position.seq < position.seq)) {
      this.position = { ...position };
    }
  }

  /**
   * Take a connection's epoch for a position of the history alone.
   *
   * @param {string} epoch
   * @returns {boolean} Whether it lacked one; with it, a connection can go on from there.
   */
  takeEpoch(epoch) {
    if (this.position?.epoch !== null) return false;
    this.position = { epoch, seq: this.position.seq };
    return true;
  }

  /**
   * Take where a new connection stands.
   *
   * @param {Position} position
   * @param {boolean} recovered Whether it goes on from where this client was.
   * @returns {Effect[]}
   */
  startAt(position, recovered) {
    const before = this.position;
    this.position = position;
    return before && !recovered ? [told('gap', { before, after: { ...position } })] : [];
  }

  /**
   * Take an event.
   *
   * @param {Record<string, any>} fields
   * @returns {Effect[]}
   */
  event(fields) {
    /** @type {Effect[]} */
    const effects = [];
    const isNew = typeof fields.event_id !== 'string' || this.#seen.add(fields.event_id);
    if (isNew) {
      const named = { ...fields, type: fields.event_type, level: fields.event_level };
      const event = /** @type {HarkaraEvent} */ (/** @type {unknown} */ (named));
      // One that is not wanted is wanted by another who shares the connection; or it was on its way when its type was
      // wanted no more.
      effects.push({ kind: 'event', event, isWanted: this.#isWanted(event.type) });
    }
    // Kept after it was dealt with: whoever crashes in between sees it twice, and does not lose it.
    return [...effects, ...this.advanced(fields.seq)];
  }

  /**
   * Take that everything up to a number is dealt with.
   *
   * @param {unknown} seq
   * @returns {Effect[]}
   */
  advanced(seq) {
    if (!this.position || !isSeq(seq) || seq <= this.position.seq) return [];
    this.position.seq = seq;
    return [{ kind: 'keep', position: { ...this.position } }];
  }

  /**
   * Take what was read of the history, in place of a connection.
   *
   * @param {import('./polling.js').Polled} polled
   * @param {number | null} after From where; null where only its end was asked for.
   * @returns {Effect[]}
   */
  polled({ events, seq, complete }, after) {
    this.position ??= { epoch: null, seq };
    /** @type {Effect[]} */
    const effects = events.flatMap((event) => this.event(event));
    if (!complete && after !== null) {
      const { epoch } = this.position;
      effects.unshift(told('gap', { before: { epoch, seq: after }, after: { epoch, seq: (events[0]?.seq ?? 1) - 1 } }));
    }
    return [...effects, ...this.advanced(seq)];
  }
}

/**
 * @param {unknown} value
 * @returns {value is number} Whether it can be an event's number: JSON may hold `1e999`, which is no position.
 */
export function isSeq(value) {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
