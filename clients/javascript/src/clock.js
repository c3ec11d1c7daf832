/**
 * Time, as an argument.
 *
 * The wall clock and not a steady one: a machine that slept must see that time passed. Where somebody sets the clock,
 * that costs a reconnect at most.
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now Milliseconds since 1970.
 * @property {(callback: () => void, ms: number) => unknown} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** @type {Clock} */
export const SYSTEM_CLOCK = {
  now: () => Date.now(),
  // Called without `this`, which browsers insist on.
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};
