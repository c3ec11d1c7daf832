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
export type State = 'idle' | 'fetching' | 'connecting' | 'authenticating' | 'open' | 'waiting' | 'stopped';
export type Move = 'connect' | 'token' | 'opened' | 'authenticated' | 'again' | 'lost' | 'refused' | 'due' | 'disconnect';
/** @typedef {'idle' | 'fetching' | 'connecting' | 'authenticating' | 'open' | 'waiting' | 'stopped'} State */
/** @typedef {'connect' | 'token' | 'opened' | 'authenticated' | 'again' | 'lost' | 'refused' | 'due' | 'disconnect'} Move */
/**
 * The moves of a session. What does not stand here cannot happen, and throws.
 *
 * @type {Readonly<Record<State, Readonly<Partial<Record<Move, State>>>>>}
 */
export declare const MOVES: Readonly<Record<State, Readonly<Partial<Record<Move, State>>>>>;
/**
 * What the server may say in a state; `event` is a message without a type. Anything else, then, is a fault of its, or a
 * later server's, and ignored. (tests/conformance/protocol.json has the same of the edge.)
 *
 * @type {Readonly<Partial<Record<State, ReadonlySet<string>>>>}
 */
export declare const HEARD: Readonly<Partial<Record<State, ReadonlySet<string>>>>;
export declare class IllegalMoveError extends Error {
    state: State;
    move: Move;
    /**
     * @param {State} state
     * @param {Move} move
     */
    constructor(state: State, move: Move);
}
/**
 * Return where a move leads.
 *
 * @param {State} state
 * @param {Move} move
 * @returns {State}
 * @throws {IllegalMoveError} The table has no such move.
 */
export declare function after(state: State, move: Move): State;
