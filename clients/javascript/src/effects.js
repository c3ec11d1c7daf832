/**
 * What a session asks whoever holds it to do.
 */

/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */

/**
 * How far a client got.
 *
 * @typedef {object} Position
 * @property {string | null} epoch Names one life of the log; null where only the history over REST was read.
 * @property {number} seq
 */

/** @typedef {'retry' | 'handshake' | 'heartbeat' | 'silence' | 'probe' | 'wake' | 'renew' | 'flush'} TimerName */
/** @typedef {'first' | 'expiring' | 'refused'} TokenReason */

/**
 * Something to be done.
 *
 * @typedef {{kind: 'fetch_token', reason: TokenReason}
 *   | {kind: 'open'}
 *   | {kind: 'send', message: Record<string, unknown>}
 *   | {kind: 'close'}
 *   | {kind: 'set_timer', name: TimerName, ms: number}
 *   | {kind: 'clear_timers'}
 *   | {kind: 'event', event: HarkaraEvent, isWanted: boolean}
 *   | {kind: 'tell', name: string, detail: Record<string, unknown>}
 *   | {kind: 'keep', position: Position}
 *   | {kind: 'settle', failure: ConnectionFailure | null}} Effect
 */

/**
 * Why there is no connection.
 *
 * @typedef {object} ConnectionFailure
 * @property {number} code The close code; 1006 where the connection broke without one.
 * @property {string} reason The code of the error that the server told, or a few words of this client's.
 * @property {number} attempts How many failed one after the other.
 * @property {boolean} final Whether this client tries no more by itself.
 */

/**
 * @param {string} name
 * @param {Record<string, unknown>} detail
 * @returns {Effect}
 */
export function told(name, detail) {
  return { kind: 'tell', name, detail };
}
