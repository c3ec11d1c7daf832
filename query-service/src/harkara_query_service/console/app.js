/**
 * The console: who is signed in, which page is shown, and what leads from one to another.
 *
 * A page is a function that fills an element; what it started ends with `context.signal`. Its address is the fragment,
 * `#/name/more?parameters`, so that every view can be linked. Pages that a role may not see are not offered; whether
 * they may, the API decides (docs/security.md).
 */

import { fill, h } from './dom.js';
import { icon } from './icons.js';
import { ApiError, openSession, splitFragment } from './session.js';
import { failure, loading } from './ui.js';
import { apiPage } from './page_api.js';
import { criticalPage } from './page_critical.js';
import { eventPage } from './page_event.js';
import { feedPage } from './page_feed.js';
import { historyPage } from './page_history.js';
import { livePage } from './page_live.js';
import { signInPage } from './page_sign_in.js';
import { summaryPage } from './page_summary.js';

/**
 * What a page is given.
 *
 * @typedef {object} Context
 * @property {import('./session.js').Session} session
 * @property {Person} person
 * @property {string[]} path What stands behind the page's name in the address.
 * @property {URLSearchParams} parameters
 * @property {AbortSignal} signal Aborted when the page is left.
 * @property {(address: string) => void} go To another address.
 * @property {(text: string) => void} announce Tell a screen reader.
 * @property {() => void} signInAgain The token is not good any more.
 */

/**
 * @typedef {object} Person
 * @property {string} userId
 * @property {string} role As the token says; empty where it does not.
 * @property {boolean} staff Whether they may see what is everybody's.
 */

/**
 * @typedef {object} Page
 * @property {string} title
 * @property {boolean} [staff] For staff only.
 * @property {boolean} [hidden] Not in the list of pages.
 * @property {(into: HTMLElement, context: Context) => void} show
 */

/** @type {Record<string, Page>} */
const PAGES = {
  live: { title: 'Live', staff: true, show: livePage },
  summary: { title: 'Summary', staff: true, show: summaryPage },
  critical: { title: 'Critical', staff: true, show: criticalPage },
  feed: { title: 'My feed', show: feedPage },
  history: { title: 'History', show: historyPage },
  events: { title: 'Event', hidden: true, show: eventPage },
  api: { title: 'APIs', show: apiPage },
};

const ROLES = {
  customer: 'Customer', delivery_boy: 'Delivery rider', shop: 'Shop', support: 'Support', admin: 'Admin',
};
const STAFF_ROLES = new Set(['support', 'admin']);

const main = /** @type {HTMLElement} */ (document.getElementById('main'));
const nav = /** @type {HTMLElement} */ (document.getElementById('nav'));
const sideEnd = /** @type {HTMLElement} */ (document.getElementById('side-end'));
const announcer = /** @type {HTMLElement} */ (document.getElementById('announcer'));

const session = openSession();
/** @type {Person | null} */
let person = null;
let leaving = new AbortController();
let notice = '';

/** @param {string} text */
function announce(text) {
  announcer.textContent = text;
}

/** The address, taken apart. */
function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [name = '', ...rest] = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { name, path: rest, parameters: new URLSearchParams(query) };
}

/** @param {Page} page */
function isOffered(page) {
  return !page.staff || person?.staff === true;
}

/**
 * Find out who this is, and how far they see: the API knows, a token only claims.
 *
 * @returns {Promise<Person>}
 */
async function identify() {
  const { user_id: userId = '', user_role: role = '' } = session.claims ?? {};
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(userId)) throw new ApiError('unauthenticated', 'That is not a token of a user.');
  await session.get(`/api/websocket/events/user/${userId}`, { limit: 1 });
  if (role !== '') return { userId, role, staff: STAFF_ROLES.has(role) };
  try {
    await session.get('/api/websocket/stats');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.kind === 'forbidden') return { userId, role, staff: false };
    if (error.kind !== 'unavailable') throw error;
  }
  return { userId, role, staff: true };
}

function showFrame() {
  const here = place().name;
  document.body.classList.toggle('signed-out', person === null);
  fill(nav, person === null ? [] : Object.entries(PAGES)
    .filter(([, page]) => !page.hidden && isOffered(page))
    .map(([name, page]) => h('a', { href: `#/${name}`, 'aria-current': name === here ? 'page' : null }, icon(name), page.title)));
  nav.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  fill(sideEnd, themeSwitch(), person === null ? null : whoCard(person));
}

function themeSwitch() {
  const theme = /** @type {any} */ (globalThis).harkaraTheme;
  return h('div', { class: 'theme' },
    h('label', { for: 'theme', class: 'visually-hidden' }, 'Colours'),
    h('select', { id: 'theme', onchange: (/** @type {any} */ event) => theme.choose(event.target.value) },
      ...[['system', 'System colours'], ['light', 'Light'], ['dark', 'Dark']].map(([value, text]) =>
        h('option', { value, selected: theme.choice === value }, text))));
}

/** @param {Person} who */
function whoCard(who) {
  const role = ROLES[/** @type {keyof typeof ROLES} */ (who.role)] ?? who.role;
  const sees = who.staff ? 'Sees everybody’s events; reads are audited.' : 'Sees their own events.';
  return h('div', { class: 'who' },
    h('span', { class: 'name' }, who.userId),
    h('span', { class: 'about muted small' }, role ? `${role}. ${sees}` : sees),
    h('button', { class: 'button slim', type: 'button', onclick: signOut }, 'Sign out'));
}

function signOut() {
  notice = '';
  session.signOut();
}

function signInAgain() {
  notice = 'Your token is not good any more: it has expired, or was withdrawn. Please sign in again.';
  session.signOut();
}

/** @param {string} address */
function go(address) {
  history.pushState(null, '', address);
  const focused = document.activeElement?.id;
  show();
  // Whoever chose something with the keyboard goes on from there.
  const next = (focused ? document.getElementById(focused) : null) ?? main.querySelector('h1');
  next?.focus({ preventScroll: true });
}

/** Show the page of the address. */
function show() {
  leaving.abort();
  leaving = new AbortController();
  if (session.token === null || person === null) {
    showFrame();
    document.title = 'Sign in · Harkara';
    signInPage(main, { notice, signIn: (token) => session.signIn(token) });
    return;
  }
  let { name, path, parameters } = place();
  if (!(name in PAGES) || !isOffered(PAGES[name])) {
    name = person.staff ? 'live' : 'feed';
    path = [];
    parameters = new URLSearchParams();
    history.replaceState(null, '', `#/${name}`);
  }
  showFrame();
  const page = PAGES[name];
  document.title = `${page.title} · Harkara`;
  const into = h('div', { class: `page page-${name}` });
  fill(main, into);
  page.show(into, { session, person, path, parameters, signal: leaving.signal, go, announce, signInAgain });
}

/** Take in who is signed in now, and show what they may see. */
async function enter() {
  leaving.abort();
  leaving = new AbortController();
  person = null;
  if (session.token === null) {
    show();
    return;
  }
  const { token } = session;
  document.body.classList.add('signed-out');
  fill(main, h('div', { class: 'card gate' }, loading('Signing in…')));
  try {
    const found = await identify();
    if (session.token !== token) return;
    person = found;
    notice = '';
    show();
    announce(`Signed in as ${found.userId}`);
  } catch (error) {
    if (session.token !== token) return;
    if (!(error instanceof ApiError)) throw error;
    if (error.kind === 'unauthenticated' || error.kind === 'forbidden') {
      notice = error.kind === 'forbidden'
        ? 'Whoever this token is for may not come in: the user is disabled, removed, or not a person.'
        : 'That token is not good: it may have expired, or be of another mesh.';
      session.signOut();
    } else {
      fill(main, h('div', { class: 'card gate' }, failure(error, enter),
        h('button', { class: 'button quiet', type: 'button', onclick: signOut }, 'Sign out')));
    }
  }
}

session.addEventListener('change', enter);
addEventListener('hashchange', () => {
  // A link with a token, pasted into a tab that is open.
  if (splitFragment(location.hash).token !== null) location.reload();
  else show();
  // A page may have put it where one begins, as into a search.
  if (!main.contains(document.activeElement)) main.querySelector('h1')?.focus({ preventScroll: true });
  scrollTo(0, 0);
});
document.querySelector('.skip')?.addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
enter();
