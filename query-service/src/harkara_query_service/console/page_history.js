/** What a user was sent, newest first; staff choose the user. An event's id leads to its page, where it may be seen. */

import { field, fill, h } from './dom.js';
import { plural } from './format.js';
import { ApiError } from './session.js';
import { empty, eventRow, eventsHead, failure, loading, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

const LIMIT = 50;
const USER_ID = /^[A-Za-z0-9_-]{1,64}$/;
const EVENT_ID = /^evt_[0-9A-HJKMNP-TV-Z]{26}$/;

/** @type {Promise<string[]> | null} */
let types = null;

/**
 * The types of the catalogue, as the API's own description names them: a deployment's own are among them.
 *
 * @param {Context} context
 */
function knownTypes(context) {
  types ??= context.session.get('/openapi.json').then((document) =>
    document.paths['/api/websocket/events/user/{user_id}'].get.parameters
      .find((/** @type {any} */ parameter) => parameter.name === 'event_type').schema.enum,
  ).catch(() => {
    types = null;
    return [];
  });
  return types;
}

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function historyPage(into, context) {
  const { session, person } = context;
  const user = person.staff ? (context.parameters.get('user') ?? '') : person.userId;
  const type = context.parameters.get('type') ?? '';
  const results = h('div');
  const problem = h('p', { class: 'problem', role: 'alert' });

  const search = h('input', {
    id: 'whose', type: 'search', autocomplete: 'off', spellcheck: false, autocapitalize: 'off',
    value: person.staff ? user : '',
    placeholder: person.staff ? 'asha, or evt_01J…' : 'evt_01J…',
  });
  const choice = h('select', {
    id: 'which',
    onchange: () => leadTo(user, choice.value),
  }, h('option', { value: '' }, 'All types'), type ? h('option', { value: type, selected: true }, type) : null);
  knownTypes(context).then((names) => {
    fill(choice, h('option', { value: '' }, 'All types'),
      names.map((name) => h('option', { value: name, selected: name === type }, name)));
  });

  /**
   * @param {string} whose
   * @param {string} which
   */
  function leadTo(whose, which) {
    const query = new URLSearchParams();
    if (person.staff && whose) query.set('user', whose);
    if (which) query.set('type', which);
    context.go(query.size ? `#/history?${query}` : '#/history');
  }

  const form = h('form', {
    class: 'toolbar', role: 'search',
    onsubmit(/** @type {Event} */ event) {
      event.preventDefault();
      const given = search.value.trim();
      if (EVENT_ID.test(given)) context.go(`#/events/${given}`);
      else if (person.staff && USER_ID.test(given)) leadTo(given, choice.value);
      else if (person.staff) fill(problem, given ? 'That is no user’s id: up to 64 letters, digits, _ and -.' : 'Name a user first.');
      else fill(problem, given ? 'That is no event’s id: evt_ and 26 digits or capital letters.' : 'Type an event’s id first.');
    },
  },
    field(person.staff ? 'User, or an event’s id' : 'An event’s id', search, 'grow'),
    h('button', { class: 'button primary', type: 'submit' }, 'Show'),
    field('Type', choice),
    person.staff && user !== person.userId
      ? h('button', { class: 'button', type: 'button', onclick: () => leadTo(person.userId, '') }, 'My own') : null);

  fill(into,
    pageHead('History', person.staff ? 'What a user was sent, newest first. Reads of another’s events are audited.'
      : 'Everything you were sent, newest first.'),
    h('div', { class: 'card' }, form, problem), results);
  if (user === '') {
    fill(results, h('div', { class: 'card' }, empty('Whose history?', 'Type a user’s id above.')));
    search.focus();
    return;
  }
  if (!USER_ID.test(user)) {
    fill(results, h('div', { class: 'card' }, empty('That is no user’s id', 'Up to 64 letters, digits, _ and -.')));
    return;
  }

  const list = h('ol', { class: 'events' });
  const end = h('div', { class: 'list-end' });
  const title = h('h2', {}, user);
  const newest = h('button', { class: 'button slim', type: 'button', onclick: () => first() }, 'Newest');
  const card = h('section', { class: 'card list', 'aria-label': `History of ${user}` },
    h('div', { class: 'card-head' }, title, newest), eventsHead('source'), list, end);
  /** @type {unknown} */
  let before = null;
  let shown = 0;

  function first() {
    before = null;
    shown = 0;
    fill(list);
    fill(results, h('div', { class: 'card' }, loading()));
    more();
  }

  async function more() {
    fill(end, loading('Loading older events…'));
    try {
      const { data } = await session.get(`/api/websocket/events/user/${user}`,
        { event_type: type, limit: LIMIT, before_seq: before === null ? null : String(before) }, { signal: context.signal });
      const now = Date.now();
      shown += data.length;
      if (shown === 0) {
        fill(results, h('div', { class: 'card' }, empty('No events', type
          ? `${user} has none of type ${type} that are still kept.` : `${user} was sent none that are still kept.`)));
        return;
      }
      if (before === null) fill(results, card);
      const rows = data.map((/** @type {any} */ event) => eventRow(event, { now, about: 'source' }));
      list.append(...rows);
      if (before !== null) rows[0]?.querySelector('a')?.focus();
      before = data.at(-1)?.seq ?? before;
      const all = data.length < LIMIT;
      fill(end,
        h('span', { class: 'muted small' }, all ? `${plural(shown, 'event')}: that is all there is.` : `${plural(shown, 'event')} shown.`),
        all ? null : h('button', { class: 'button', type: 'button', onclick: more }, 'Older events'));
      if (before !== null) context.announce(`${plural(shown, 'event')} shown`);
    } catch (error) {
      if (context.signal.aborted) return;
      if (error instanceof ApiError && error.kind === 'unauthenticated') context.signInAgain();
      else if (shown === 0) fill(results, failure(error, first));
      else fill(end, failure(error, more));
    }
  }

  first();
}
