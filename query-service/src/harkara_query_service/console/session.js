/**
 * Who uses this page, and what the REST API answers them.
 *
 * Any page of the console uses it: a token comes in the fragment of a link (`#token=…`, which no server sees), is kept
 * for this tab alone, and leaves the address bar at once. A failure is an `ApiError` whose `kind` says what to do.
 *
 * What does not belong here: what a page shows.
 */

const TOKEN_KEY = 'harkara.token';
const PATIENCE_MS = 10_000;

/**
 * What can be wrong with an answer.
 *
 * unauthenticated: sign in again. forbidden: not for this person. not_found: there is none. invalid: the question is
 * wrong. unavailable: try again, after `retryAfterMs`. offline: nothing was reached. broken: a fault of the server.
 *
 * @typedef {'unauthenticated' | 'forbidden' | 'not_found' | 'invalid' | 'unavailable' | 'offline' | 'broken'} Kind
 */

export class ApiError extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message For people.
   * @param {{status?: number, code?: string, retryAfterMs?: number}} [more]
   */
  constructor(kind, message, { status = 0, code = '', retryAfterMs = 1_000 } = {}) {
    super(message);
    this.name = 'ApiError';
    this.kind = kind;
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** A number that JavaScript would show otherwise than it was emitted, such as one past 2^53. */
export class ExactNumber {
  /** @param {string} text As it stands in the JSON. */
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return Number(this.text);
  }

  valueOf() {
    return Number(this.text);
  }
}

/**
 * Parse JSON without bending a number, where the browser can tell how it was spelt.
 *
 * @param {string} text
 * @returns {any}
 * @throws {SyntaxError}
 */
export function parseExactly(text) {
  return JSON.parse(text, (_key, value, context) => {
    const spelt = context?.source;
    return typeof value === 'number' && spelt !== undefined && spelt !== String(value) ? new ExactNumber(spelt) : value;
  });
}

/**
 * What a token says of itself. Whether it is good, only the server can tell.
 *
 * @param {string} token
 * @returns {{user_id?: string, user_role?: string, exp?: number} | null} Null for what is no JWT.
 */
export function claimsOf(token) {
  try {
    const payload = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes));
    return claims !== null && typeof claims === 'object' && !Array.isArray(claims) ? claims : null;
  } catch {
    return null;
  }
}

/**
 * Take the token out of a fragment.
 *
 * @param {string} fragment With or without its `#`: `token=…`, alone or beside other `name=value`.
 * @returns {{token: string | null, rest: string}} The token, and the fragment without it.
 */
export function splitFragment(fragment) {
  const parts = fragment.replace(/^#/, '').split('&');
  const given = parts.find((part) => part.startsWith('token='));
  const rest = parts.filter((part) => part !== given && part !== '').join('&');
  let token = given?.slice('token='.length) ?? '';
  try {
    token = decodeURIComponent(token);
  } catch {
    // No link of ours: the server will say what it thinks of it.
  }
  return { token: token.trim() || null, rest };
}

/**
 * A failure of the API, from its answer.
 *
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter The header's value.
 */
export function errorOf(status, body, retryAfter) {
  let failure = { code: '', message: '' };
  try {
    failure = { ...failure, ...JSON.parse(body).error };
  } catch {
    // From something between here and the API.
  }
  /** @type {Record<number, Kind>} */
  const kinds = { 401: 'unauthenticated', 403: 'forbidden', 404: 'not_found', 422: 'invalid', 503: 'unavailable' };
  const kind = kinds[status] ?? (status === 502 || status === 504 || status === 429 ? 'unavailable' : 'broken');
  const seconds = Number(retryAfter);
  return new ApiError(kind, failure.message || `The server answered ${status}.`, {
    status,
    code: failure.code,
    retryAfterMs: retryAfter !== null && Number.isFinite(seconds) ? Math.max(1, seconds) * 1_000 : 1_000,
  });
}

export class Session extends EventTarget {
  /** @type {string | null} */
  #token;
  #storage;
  #fetch;

  /**
   * @param {string | null} token
   * @param {Pick<Storage, 'setItem' | 'removeItem'>} storage
   * @param {typeof fetch} fetcher
   */
  constructor(token, storage, fetcher) {
    super();
    this.#token = token;
    this.#storage = storage;
    this.#fetch = fetcher;
  }

  /** The token; null while nobody is signed in. */
  get token() {
    return this.#token;
  }

  /** What the token says of itself; null while nobody is signed in. */
  get claims() {
    return this.#token === null ? null : claimsOf(this.#token);
  }

  /** @returns {string} The user's id; empty while nobody is signed in. */
  get userId() {
    return this.claims?.user_id ?? '';
  }

  /**
   * Sign in, for as long as this tab is open. Tells `change`.
   *
   * @param {string} token
   */
  signIn(token) {
    this.#token = token;
    try {
      this.#storage.setItem(TOKEN_KEY, token);
    } catch {
      // A browser that keeps nothing: until the page is loaded anew.
    }
    this.dispatchEvent(new Event('change'));
  }

  /** Sign out. Tells `change`. */
  signOut() {
    this.#token = null;
    try {
      this.#storage.removeItem(TOKEN_KEY);
    } catch {
      // As above.
    }
    this.dispatchEvent(new Event('change'));
  }

  /**
   * Ask the REST API.
   *
   * @param {string} path Such as `/api/websocket/stats`.
   * @param {Record<string, string | number | null | undefined>} [parameters] Those that are null or empty are left out.
   * @param {{signal?: AbortSignal, token?: string}} [options] `token`: another than the one signed in with.
   * @returns {Promise<any>} The body.
   * @throws {ApiError} There is no answer, or it is a failure.
   * @throws {DOMException} `signal` was aborted.
   */
  async get(path, parameters = {}, { signal, token } = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
      if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
    }
    const used = token ?? this.#token;
    const patience = AbortSignal.timeout(PATIENCE_MS);
    let response;
    let body;
    try {
      response = await this.#fetch(query.size ? `${path}?${query}` : path, {
        headers: used === null ? {} : { Authorization: `Bearer ${used}` },
        cache: 'no-store',
        credentials: 'omit',
        signal: signal ? AbortSignal.any([signal, patience]) : patience,
      });
      body = await response.text();
    } catch (error) {
      signal?.throwIfAborted();
      const late = patience.aborted;
      throw new ApiError('offline', late ? 'The server did not answer in time.' : 'The server cannot be reached.');
    }
    if (!response.ok) throw errorOf(response.status, body, response.headers.get('retry-after'));
    try {
      return parseExactly(body);
    } catch {
      throw new ApiError('broken', 'The server answered something that is not JSON.', { status: response.status });
    }
  }
}

/**
 * The session of this page: from the link it was opened with, else from this tab.
 *
 * The token leaves the address bar and the history; what else stood in the fragment stays.
 */
export function openSession() {
  const { token, rest } = splitFragment(location.hash);
  if (token !== null) history.replaceState(null, '', `${location.pathname}${location.search}${rest ? `#${rest}` : ''}`);
  let kept = null;
  /** @type {Pick<Storage, 'setItem' | 'removeItem'>} */
  let storage = { setItem() {}, removeItem() {} };
  try {
    storage = sessionStorage;
    kept = sessionStorage.getItem(TOKEN_KEY);
  } catch {
    // A browser that keeps nothing.
  }
  const session = new Session(token ?? kept, storage, fetch.bind(globalThis));
  if (token !== null) session.signIn(token);
  return session;
}
