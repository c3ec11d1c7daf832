/**
 * How long to wait before the next attempt (docs/protocol.md, "Errors and closes").
 *
 * "Full jitter": a random time between 0 and a bound that doubles with every failure, so that clients that were cut
 * off together do not come back together. Randomness is an argument.
 *
 * What does not belong here: whether to try again at all (`session.js`).
 */
/** The first bound, in milliseconds. */
export declare const FIRST_BOUND_MS = 1000;
/** What the bound never exceeds, in milliseconds. */
export declare const LAST_BOUND_MS = 60000;
/** Over how long clients of a server that stops spread themselves, in milliseconds. */
export declare const SPREAD_MS = 5000;
/**
 * Say how long to wait.
 *
 * @param {number} failures How many attempts failed since the last connection that lasted; 1 or more.
 * @param {() => number} random Gives a number from 0 to under 1.
 * @returns {number} Milliseconds.
 */
export declare function backoff(failures: number, random: () => number): number;
/**
 * Say how long to wait after a loss.
 *
 * @param {import('./close_codes.js').CloseAction | 'lost'} action What the close code asks for; `lost` where there was
 *   none.
 * @param {number} failures As above; this loss counts.
 * @param {boolean} wasOpen Whether there was a connection.
 * @param {() => number} random
 * @returns {number} Milliseconds.
 */
export declare function waitAfter(action: import('./close_codes.js').CloseAction | 'lost', failures: number, wasOpen: boolean, random: () => number): number;
