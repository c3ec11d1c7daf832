/**
 * Time, as an argument.
 *
 * The wall clock and not a steady one: a machine that slept must see that time passed. Where somebody sets the clock,
 * that costs a reconnect at most.
 */
export type Clock = {
    /**
     * Milliseconds since 1970.
     */
    now: () => number;
    setTimeout: (callback: () => void, ms: number) => unknown;
    clearTimeout: (timer: any) => void;
};
/**
 * @typedef {object} Clock
 * @property {() => number} now Milliseconds since 1970.
 * @property {(callback: () => void, ms: number) => unknown} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */
/** @type {Clock} */
export declare const SYSTEM_CLOCK: Clock;
