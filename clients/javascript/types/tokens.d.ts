/**
 * Where a token comes from.
 *
 * What does not belong here: when one is wanted (`session.js`).
 */
/** How long a provider may take, in milliseconds. */
export declare const PROVIDER_MS = 30000;
export type TokenProvider = (about: {
    reason: import('./effects.js').TokenReason;
}) => string | Promise<string>;
/**
 * Gives a token, at once or by a promise. It is told why: `first`, `expiring` (the one before is about to end) or
 * `refused` (the server did not take the one before).
 *
 * @typedef {(about: {reason: import('./effects.js').TokenReason}) => string | Promise<string>} TokenProvider
 */
/**
 * Ask a provider.
 *
 * @param {TokenProvider} provider
 * @param {import('./effects.js').TokenReason} reason
 * @param {import('./clock.js').Clock} clock
 * @param {AbortSignal} signal Aborted when the token is wanted no more.
 * @returns {Promise<string>} The token. Rejected where the provider throws, takes too long, or gives none.
 */
export declare function fetchToken(provider: TokenProvider, reason: import('./effects.js').TokenReason, clock: import('./clock.js').Clock, signal: AbortSignal): Promise<string>;
