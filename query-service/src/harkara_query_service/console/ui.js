/**
 * What every page says in the same way: loading, nothing there, something wrong; and rows of events.
 */

import { fill, h } from './dom.js';
import { clockText, fullText, momentText, previewText } from './format.js';
import { ApiError } from './session.js';

/** @typedef {import('./app.js').Context} Context */

const LONGEST_WAIT_MS = 15_000;

/** @param {string} level */
export function levelBadge(level) {
  return h('span', { class: `level ${level}` }, level);
}

/** @param {string} [text] */
export function loading(text = 'Loading…') {
  return h('div', { class: 'loading', role: 'status' },
    h('span', { class: 'visually-hidden' }, text), h('span'), h('span'), h('span'));
}

/**
 * Nothing there, and why.
 *
 * @param {string} title
 * @param {import('./dom.js').Child} [hint]
 */
export function empty(title, hint) {
  return h('div', { class: 'empty' }, h('strong', {}, title), hint ? h('span', {}, hint) : null);
}

/** @type {Record<import('./session.js').Kind, string>} */
const TITLES = {
  unauthenticated: 'Please sign in again',
  forbidden: 'You may not see this',
  not_found: 'There is no such thing',
  invalid: 'That cannot be asked so',
  unavailable: 'Not available right now',
  offline: 'No connection to the server',
  broken: 'Something is wrong with the server',
};

/**
 * What is wrong, in words.
 *
 * @param {unknown} error
 */
export function describe(error) {
  if (error instanceof ApiError) return { title: TITLES[error.kind], message: error.message };
  return { title: 'Something is wrong with this page', message: String(error) };
}

/**
 * A failure as a notice, with a button where trying again may help.
 *
 * @param {unknown} error
 * @param {(() => void) | null} retry
 * @param {string} [more] What happens next.
 */
export function failure(error, retry, more = '') {
  const { title, message } = describe(error);
  const kind = error instanceof ApiError ? error.kind : 'broken';
  const hopeful = kind === 'unavailable' || kind === 'offline' || kind === 'broken';
  return h('div', { class: kind === 'unavailable' || kind === 'offline' ? 'notice warn' : 'notice', role: 'alert' },
    h('p', {}, h('strong', {}, title), `${message} ${more}`.trim()),
    retry && hopeful ? h('button', { class: 'button slim', type: 'button', onclick: retry }, 'Try again') : null);
}

/**
 * Load something into a place, and say so; again by itself while the server is away, and every so often.
 *
 * What was shown stays while it is loaded again, and also when that fails: a notice above says from when it is.
 *
 * @template T
 * @param {object} options
 * @param {Element} options.into
 * @param {Context} options.context
 * @param {() => Promise<T>} options.load
 * @param {(value: T, into: Element) => void} options.show
 * @param {number | null} [options.everyMs] How often to load again; null for once.
 * @returns {{reload: (fresh?: boolean) => void}} `reload(true)` forgets what was shown.
 */
export function loaded({ into, context, load, show, everyMs = null }) {
  const problem = h('div');
  const body = h('div', { 'aria-busy': 'true' }, loading());
  fill(into, problem, body);
  /** @type {number | undefined} */
  let timer;
  let round = 0;
  let shown = '';
  let shownAt = 0;
  let failures = 0;

  async function run() {
    clearTimeout(timer);
    const mine = (round += 1);
    try {
      const value = await load();
      if (mine !== round || context.signal.aborted) return;
      failures = 0;
      shownAt = Date.now();
      fill(problem);
      const text = JSON.stringify(value);
      // What is as it was stays as it is: whoever reads or has the focus there is not disturbed.
      if (text !== shown) keepingFocus(body, () => show(value, body));
      shown = text;
      body.removeAttribute('aria-busy');
      if (everyMs !== null) later(everyMs);
    } catch (error) {
      if (mine !== round || context.signal.aborted) return;
      body.removeAttribute('aria-busy');
      if (shownAt === 0) fill(body);
      if (error instanceof ApiError && error.kind === 'unauthenticated') {
        context.signInAgain();
        return;
      }
      const again = error instanceof ApiError && (error.kind === 'unavailable' || error.kind === 'offline');
      const more = shownAt ? `What is shown is of ${clockText(shownAt)}.` : again ? 'Trying again by itself.' : '';
      fill(problem, failure(error, run, more));
      if (again) {
        later(Math.min(LONGEST_WAIT_MS, error.retryAfterMs * 2 ** failures));
        failures += 1;
      }
    }
  }

  /** @param {number} ms */
  function later(ms) {
    timer = setTimeout(() => (document.hidden ? later(ms) : run()), ms);
  }

  context.signal.addEventListener('abort', () => clearTimeout(timer));
  addEventListener('online', run, { signal: context.signal });
  run();
  return {
    reload(fresh = false) {
      if (fresh) {
        shownAt = 0;
        shown = '';
        fill(problem);
        fill(body, loading());
        body.setAttribute('aria-busy', 'true');
      }
      run();
    },
  };
}

/**
 * Do something that replaces what is in a place, and give the focus back to the link that had it.
 *
 * @param {Element} place
 * @param {() => void} change
 */
function keepingFocus(place, change) {
  const { activeElement } = document;
  const address = place.contains(activeElement) ? activeElement?.getAttribute('href') : null;
  change();
  if (address) {
    const link = [...place.querySelectorAll('a')].find((one) => one.getAttribute('href') === address);
    link?.focus({ preventScroll: true });
  }
}

/** @param {{event_id: string}} event */
export function eventLink(event) {
  return `#/events/${encodeURIComponent(event.event_id)}`;
}

/**
 * A row of a list of events.
 *
 * @param {any} event As REST or the WebSocket gives it.
 * @param {{now: number, about: 'user' | 'source', isNew?: boolean}} options `about`: what stands in the fourth column.
 */
export function eventRow(event, { now, about, isNew = false }) {
  const time = event.created_at ?? event.timestamp;
  return h('li', {},
    h('a', { class: isNew ? 'event-row new' : 'event-row', href: eventLink(event) },
      h('time', { class: 'time muted', dateTime: time, title: fullText(time) }, momentText(time, now)),
      levelBadge(event.event_level),
      h('span', { class: 'type' }, event.event_type),
      h('span', { class: 'about muted' }, about === 'user' ? event.user_id : event.source),
      h('span', { class: 'data' }, previewText(event.data))));
}

/** @param {'user' | 'source'} about */
export function eventsHead(about) {
  return h('div', { class: 'events-head', 'aria-hidden': 'true' },
    ...['Accepted', 'Level', 'Type', about === 'user' ? 'User' : 'Source', 'Data'].map((text) => h('span', {}, text)));
}

/**
 * The top of a page.
 *
 * @param {string} title
 * @param {import('./dom.js').Child} lead
 * @param {...import('./dom.js').Child} actions
 */
export function pageHead(title, lead, ...actions) {
  return h('div', { class: 'page-head' },
    h('div', {}, h('h1', { tabIndex: -1 }, title), lead ? h('p', { class: 'muted' }, lead) : null),
    actions.length ? h('div', { class: 'toolbar' }, actions) : null);
}
