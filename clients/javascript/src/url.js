/**
 * Where the WebSocket is, for a page that does not say it in code.
 */

/** The path of the WebSocket on every server. */
export const WEBSOCKET_PATH = '/api/websocket/ws';

/**
 * Find the address.
 *
 * @param {string | URL | null | undefined} url What the caller said: an address (`ws:`, `wss:`, and `http:` and
 *   `https:` which stand for them), absolute or relative to the page; null to have it found.
 * @param {{document?: Pick<Document, 'querySelector'>, location?: Pick<Location, 'href'>}} page Where to look: first
 *   for `<meta name="harkara-websocket-url" content="…">`, then at the page's own origin.
 * @returns {string} An absolute address.
 * @throws {TypeError} There is none, or it cannot be one.
 */
export function websocketUrl(url, page) {
  const base = page.location?.href;
  const named =
    url ?? page.document?.querySelector('meta[name="harkara-websocket-url"]')?.getAttribute('content')?.trim();
  if (!named && !base) throw new TypeError('no URL was given, and there is no page to take it from');
  const found = new URL(named || WEBSOCKET_PATH, base);
  if (found.protocol === 'http:') found.protocol = 'ws:';
  if (found.protocol === 'https:') found.protocol = 'wss:';
  if (found.protocol !== 'ws:' && found.protocol !== 'wss:') {
    throw new TypeError(`not the address of a WebSocket: ${found.protocol}`);
  }
  // A WebSocket's address has none, and the constructor would refuse it.
  found.hash = '';
  return found.href;
}
