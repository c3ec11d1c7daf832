/**
 * Where the WebSocket is, for a page that does not say it in code.
 */
/** The path of the WebSocket on every server. */
export declare const WEBSOCKET_PATH = "/api/websocket/ws";
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
export declare function websocketUrl(url: string | URL | null | undefined, page: {
    document?: Pick<Document, 'querySelector'>;
    location?: Pick<Location, 'href'>;
}): string;
