/**
 * Where a token comes from.
 *
 * What does not belong here: when one is wanted (`session.js`).
 */

/** How long a provider may take, in milliseconds. */
export const PROVIDER_MS = 30_000;

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
export async function fetchToken(provider, reason, clock, signal) {
  /** @type {unknown} */
  let timer;
  const late = new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    timer = clock.setTimeout(() => reject(new Error('the token provider took too long')), PROVIDER_MS);
  });
  // A provider that throws at once leaves nobody to look at it.
  late.catch(() => {});
  try {
    const token = await Promise.race([provider({ reason }), late]);
    if (typeof token !== 'string' || token === '') throw new TypeError('the token provider gave no token');
    return token;
  } finally {
    clock.clearTimeout(timer);
  }
}
