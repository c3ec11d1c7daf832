/**
 * What `connect()` is rejected with.
 */

/** There is no connection. */
export class ConnectionError extends Error {
  /** @param {import('./effects.js').ConnectionFailure} failure */
  constructor(failure) {
    super(`${failure.reason || 'connection lost'} (${failure.code})`);
    this.name = 'ConnectionError';
    /** The close code; 1006 where the connection broke without one. */
    this.code = failure.code;
    /** The code of the server's error, or a few words of this client's. */
    this.reason = failure.reason;
    /** How many attempts failed one after the other. */
    this.attempts = failure.attempts;
    /** Whether the client tries no more by itself. */
    this.final = failure.final;
  }
}
