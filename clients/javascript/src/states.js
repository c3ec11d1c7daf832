/**
 * The states of a session, and what leads from one to another.
 *
 *     idle ──connect──▶ fetching ──token──▶ connecting ──opened──▶ authenticating ──authenticated──▶ open
 *                         ▲ ▲                    │                     │ │                           │
 *                         │ └────────────────────┼────────again────────┘ │                           │
 *                         └──────due────── waiting ◀───────────────────lost──────────────────────────┘
 *
 * `stopped` is where a session ends that the server will not have; only `connect` leads out of it. What a close code
 * means is the catalogue's (`close_codes.js`).
 */

/** @typedef {'idle' | 'fetching' | 'connecting' | 'authenticating' | 'open' | 'waiting' | 'stopped'} State */
/** @typedef {'connect' | 'token' | 'opened' | 'authenticated' | 'again' | 'lost' | 'refused' | 'due' | 'disconnect'} Move */

/**
 * The moves of a session. What does not stand here cannot happen, and throws.
 *
 * @type {Readonly<Record<State, Readonly<Partial<Record<Move, State>>>>>}
 */
export const MOVES = Object.freeze({
  idle: { connect: 'fetching', disconnect: 'idle' },
  fetching: { token: 'connecting', lost: 'waiting', refused: 'stopped', disconnect: 'idle' },
  connecting: { opened: 'authenticating', lost: 'waiting', refused: 'stopped', disconnect: 'idle' },
  authenticating: { authenticated: 'open', again: 'fetching', lost: 'waiting', refused: 'stopped', disconnect: 'idle' },
  open: { lost: 'waiting', refused: 'stopped', disconnect: 'idle' },
  waiting: { due: 'fetching', disconnect: 'idle' },
  stopped: { connect: 'fetching', disconnect: 'idle' },
});

/**
 * What the server may say in a state; `event` is a message without a type. Anything else, then, is a fault of its, or a
 * later server's, and ignored. (tests/conformance/protocol.json has the same of the edge.)
 *
 * @type {Readonly<Partial<Record<State, ReadonlySet<string>>>>}
 */
export const HEARD = Object.freeze({
  authenticating: new Set(['authenticated', 'error']),
  open: new Set(['authenticated', 'subscription_updated', 'heartbeat_ack', 'event', 'error']),
});

export class IllegalMoveError extends Error {
  /**
   * @param {State} state
   * @param {Move} move
   */
  constructor(state, move) {
    super(`no ${move} in state ${state}`);
    this.name = 'IllegalMoveError';
    this.state = state;
    this.move = move;
  }
}

/**
 * Return where a move leads.
 *
 * @param {State} state
 * @param {Move} move
 * @returns {State}
 * @throws {IllegalMoveError} The table has no such move.
 */
export function after(state, move) {
  const next = MOVES[state][move];
  if (!next) throw new IllegalMoveError(state, move);
  return next;
}
