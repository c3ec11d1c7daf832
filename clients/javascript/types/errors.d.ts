/**
 * What `connect()` is rejected with.
 */
/** There is no connection. */
export declare class ConnectionError extends Error {
    /** The close code; 1006 where the connection broke without one. */
    code: number;
    /** The code of the server's error, or a few words of this client's. */
    reason: string;
    /** How many attempts failed one after the other. */
    attempts: number;
    /** Whether the client tries no more by itself. */
    final: boolean;
    /** @param {import('./effects.js').ConnectionFailure} failure */
    constructor(failure: import('./effects.js').ConnectionFailure);
}
