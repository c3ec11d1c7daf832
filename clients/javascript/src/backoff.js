/**
 * How long to wait before the next attempt (docs/protocol.md, "Errors and closes").
 *
 * "Full jitter": a random time between 0 and a bound that doubles with every failure, so that clients that were cut
 * off together do not come back together. Randomness is an argument.
 *
 * What does not belong here: whether to try again at all (`session.js`).
 */

/** The first bound, in milliseconds. */
export const FIRST_BOUND_MS = 1_000;

/** What the bound never exceeds, in milliseconds. */
export const LAST_BOUND_MS = 60_000;

/** Over how long clients of a server that stops spread themselves, in milliseconds. */
export const SPREAD_MS = 5_000;

/**
 * Say how long to wait.
 *
 * @param {number} failures How many attempts failed since the last connection that lasted; 1 or more.
 * @param {() => number} random Gives a number from 0 to under 1.
 * @returns {number} Milliseconds.
 */
export function backoff(failures, random) {
  // 2 ** 1024 is Infinity, and Math.min of that is still the last bound.
  return random() * Math.min(LAST_BOUND_MS, FIRST_BOUND_MS * 2 ** (failures - 1));
}

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
export function waitAfter(action, failures, wasOpen, random) {
  if (failures === 1) {
    if (action === 'reconnect_spread') return random() * SPREAD_MS;
    if (action === 'new_token') return 0;
    if ((action === 'reconnect' || action === 'lost') && wasOpen) return 0;
  }
  return backoff(failures, random);
}
