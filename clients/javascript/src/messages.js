/**
 * What a client says, but for its subscription (`subscription.js`).
 *
 * What does not belong here: when it says so (`session.js`).
 */

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
export function auth({ token, userId, userRole, deviceId, position, asked }) {
  return {
    type: 'auth',
    token,
    ...(userId && { user_id: userId }),
    ...(userRole && { user_role: userRole }),
    ...(deviceId && { device_id: deviceId }),
    ...(position?.epoch
      ? { resume: { epoch: position.epoch, seq: position.seq, events: asked } }
      : deviceId && !position && { resume: { events: asked } }),
  };
}

/**
 * Offer another token, in a connection that stands.
 *
 * @param {string | null} token
 * @returns {Effect}
 */
export function renewal(token) {
  return { kind: 'send', message: { type: 'auth', token } };
}

/**
 * @param {number | undefined} ack How far this client got.
 * @param {number} now
 * @returns {Effect}
 */
export function heartbeat(ack, now) {
  const message = { type: 'heartbeat', timestamp: new Date(now).toISOString(), ...(ack !== undefined && { ack }) };
  return { kind: 'send', message };
}
