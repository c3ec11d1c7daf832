/**
 * What a client says, but for its subscription (`subscription.js`).
 *
 * What does not belong here: when it says so (`session.js`).
 */
export type Effect = import('./effects.js').Effect;
/** @typedef {import('./effects.js').Effect} Effect */
/**
 * Say who this client is: first in a connection.
 *
 * @param {object} about
 * @param {string | null} about.token
 * @param {string | null} [about.userId]
 * @param {string | null} [about.userRole]
 * @param {string | null} [about.deviceId]
 * @param {import('./effects.js').Position | null} about.position How far this client got.
 * @param {string[]} about.asked The types to go on with.
 * @returns {Record<string, unknown>}
 */
export declare function auth({ token, userId, userRole, deviceId, position, asked }: {
    token: string | null;
    userId?: string | null;
    userRole?: string | null;
    deviceId?: string | null;
    position: import('./effects.js').Position | null;
    asked: string[];
}): Record<string, unknown>;
/**
 * Offer another token, in a connection that stands.
 *
 * @param {string | null} token
 * @returns {Effect}
 */
export declare function renewal(token: string | null): Effect;
/**
 * @param {number | undefined} ack How far this client got.
 * @param {number} now
 * @returns {Effect}
 */
export declare function heartbeat(ack: number | undefined, now: number): Effect;
