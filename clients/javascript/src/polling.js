/**
 * The history over REST, in place of a connection: for networks that let no WebSocket through.
 *
 * It reads backwards from the newest event to where the client stands, page by page (`before_seq`), and hands on what
 * it found in the order in which it happened. Numbers have no hole, so nothing is missed, and what a connection brings
 * later is not told again. What is stored nowhere does not come this way; what is superseded or expired does.
 *
 * What does not belong here: when to poll (`service.js`), and what a new event means (`session.js`).
 */

/** @typedef {import('../types/events.js').HarkaraEvent} HarkaraEvent */

/** How many events a page has at most. */
export const PAGE_SIZE = 100;

/** Past so many pages it is a gap rather than a history: the client goes on with those it has read. */
export const MAX_PAGES = 50;

/**
 * @typedef {object} Polled
 * @property {HarkaraEvent[]} events Those after `after`, rising by `seq`.
 * @property {number} seq Up to where the history was read.
 * @property {boolean} complete Whether they are all there are in between.
 */

/** An answer of the REST interface that is none of success. */
export class HistoryError extends Error {
  /** @param {number} status The HTTP status. */
  constructor(status) {
    super(`the history was answered with status ${status}`);
    this.name = 'HistoryError';
    this.status = status;
  }
}

/**
 * Read what a user's history has after a number.
 *
 * @param {object} how
 * @param {string} how.url Where REST is: `https://server`, without the path.
 * @param {string} how.userId
 * @param {string} how.token
 * @param {number | null} how.after Null to learn only where the history ends.
 * @param {typeof globalThis.fetch} how.fetch
 * @param {AbortSignal} how.signal
 * @returns {Promise<Polled>}
 * @throws {HistoryError} The answer is no success.
 */
export async function readHistory({ url, userId, token, after, fetch, signal }) {
  const path = `${url.replace(/\/$/, '')}/api/websocket/events/user/${encodeURIComponent(userId)}`;
  /** @type {HarkaraEvent[]} */
  const found = [];
  /** @type {number | null} */
  let before = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const query = before === null ? '' : `&before_seq=${before}`;
    const answer = await fetch(`${path}?limit=${after === null ? 1 : PAGE_SIZE}${query}`, {
      headers: { authorization: `Bearer ${token}` },
      signal,
    });
    if (!answer.ok) throw new HistoryError(answer.status);
    const rows = /** @type {{data: HarkaraEvent[]}} */ (await answer.json()).data;
    const newest = found[0]?.seq ?? rows[0]?.seq ?? after ?? 0;
    if (after === null) return { events: [], seq: newest, complete: true };
    const fresh = rows.filter((row) => (row.seq ?? 0) > after);
    found.push(...fresh.map(asDelivered));
    if (fresh.length < rows.length || rows.length < PAGE_SIZE) {
      return { events: found.reverse(), seq: Math.max(newest, after), complete: true };
    }
    before = rows.at(-1)?.seq ?? null;
  }
  return { events: found.reverse(), seq: found.at(-1)?.seq ?? after ?? 0, complete: false };
}

/**
 * Return an event as a connection would have brought it: the history has two fields more.
 *
 * @param {HarkaraEvent} row
 * @returns {HarkaraEvent}
 */
function asDelivered(row) {
  const { _id, created_at, ...event } = /** @type {HarkaraEvent & {_id?: string, created_at?: string}} */ (row);
  return /** @type {HarkaraEvent} */ (event);
}
