/**
 * The signed-in user's own events as they come, over the WebSocket and the project's own client.
 *
 * It begins with the newest of the history, so that the page is not empty on a quiet day. The client resumes by itself
 * after a loss; a hole that cannot be filled is said, not hidden.
 *
 * A new connection goes on where this browser last acknowledged, which may be a week ago. What the history has is not
 * told again: rows come in rising order of `seq`, and what is not beyond the newest row is left out. So what comes is
 * held back while the history is read, but not for long.
 */

import { WebSocketService } from '/client/index.js';
import { deviceId } from './device.js';
import { field, fill, h } from './dom.js';
import { clockText, LEVELS, plural } from './format.js';
import { empty, eventRow, eventsHead, failure, loading, pageHead } from './ui.js';
import { ApiError } from './session.js';

/** @typedef {import('./app.js').Context} Context */

const MOST_ROWS = 500;
const EARLIER = 20;
// How long what comes waits at most for the history that belongs before it.
const HOLD_MS = 2_000;
const SUMMARY_MS = 5_000;
/** Close codes: unauthenticated, expired, not allowed any more. */
const TOKEN_IS_BAD = new Set([4401, 4402, 4403]);

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function feedPage(into, context) {
  const { session, person, signal } = context;
  /** @type {any[]} Newest first. */
  let events = [];
  /** @type {any[]} Came while paused, newest first. */
  let held = [];
  /** The largest `seq` of all that was shown, or held. */
  let newest = 0;
  /** The life of the log that it is a number of. @type {string | null} */
  let epoch = null;
  /** How many reads of the history hold back what comes. */
  let holds = 0;
  /** Came meanwhile, oldest first. @type {any[]} */
  let early = [];
  /** Whether the history could not be read. */
  let isMissing = false;
  let paused = false;
  let unsaid = 0;

  const state = h('p', { class: 'state busy', role: 'status' }, 'Connecting…');
  const problem = h('div');
  const notices = h('div', { class: 'page' });
  const list = h('ol', { class: 'events', 'aria-label': 'Events, newest first' });
  const nothing = h('div');
  const heldButton = h('button', { class: 'button primary slim', type: 'button', hidden: true, onclick: () => pause(false) });
  const pauseButton = h('button', { class: 'button', type: 'button', 'aria-pressed': 'false', onclick: () => pause(!paused) }, 'Pause');
  const filter = h('input', { type: 'search', placeholder: 'type, source or data', autocomplete: 'off', spellcheck: false, oninput: draw });
  const boxes = LEVELS.map((level) => h('input', { type: 'checkbox', checked: true, value: level, onchange: draw }));

  fill(into,
    pageHead('My feed', `Events of ${person.userId}, as they come.`, state, pauseButton),
    problem,
    notices,
    h('div', { class: 'card' }, h('div', { class: 'toolbar' },
      field('Filter', filter, 'grow'),
      h('fieldset', { class: 'checks' }, h('legend', {}, 'Levels'),
        boxes.map((box) => h('label', {}, box, h('span', { class: `level ${box.value}` }, box.value)))),
      h('button', { class: 'button', type: 'button', onclick: clear }, 'Clear'))),
    h('section', { class: 'card list', 'aria-label': 'Events' }, heldButton, eventsHead('source'), list, nothing));

  /** @param {any} event */
  function matches(event) {
    if (!boxes.some((box) => box.value === event.event_level && box.checked)) return false;
    const text = filter.value.trim().toLowerCase();
    return text === '' || [event.event_type, event.source, event.event_id, JSON.stringify(event.data)]
      .some((part) => String(part).toLowerCase().includes(text));
  }

  function draw() {
    const now = Date.now();
    const shown = events.filter(matches);
    fill(list, shown.map((event) => eventRow(event, { now, about: 'source' })));
    sayNothing(shown.length);
  }

  /** @param {number} shown */
  function sayNothing(shown) {
    if (shown > 0) fill(nothing);
    else if (events.length > 0) fill(nothing, empty('No event passes the filter', `${plural(events.length, 'event')} did not.`));
    else if (isMissing) fill(nothing, empty('Nothing new yet', 'What happens from now on appears here.'));
    else if (person.staff) fill(nothing, ofStaff());
    else fill(nothing, empty('No events yet', 'They appear here the moment they happen.'));
  }

  /** Staff do not order: what they look for is elsewhere. */
  function ofStaff() {
    return empty('No events of your own', h('span', {}, `Here is only what is sent to ${person.userId}. What others were sent is in `,
      h('a', { href: '#/history' }, 'History'), '; what somebody should look at is in ',
      h('a', { href: '#/critical' }, 'Critical'), '.'));
  }

  /** @param {any} event */
  function take(event) {
    if (holds > 0) {
      early.push(event);
      return;
    }
    if (event.seq <= newest) return;
    newest = event.seq ?? newest; // An ephemeral event has none.
    unsaid += 1;
    if (paused) {
      held = [event, ...held].slice(0, MOST_ROWS);
      sayHeld();
      return;
    }
    events = [event, ...events].slice(0, MOST_ROWS);
    if (!matches(event)) return;
    list.prepend(eventRow(event, { now: Date.now(), about: 'source', isNew: true }));
    while (list.childElementCount > MOST_ROWS) list.lastElementChild?.remove();
    sayNothing(1);
  }

  function sayHeld() {
    heldButton.hidden = !paused || held.length === 0;
    heldButton.textContent = `${plural(held.length, 'new event')}: show`;
  }

  /** @param {boolean} wanted */
  function pause(wanted) {
    paused = wanted;
    pauseButton.textContent = paused ? 'Go on' : 'Pause';
    pauseButton.setAttribute('aria-pressed', String(paused));
    if (!paused && held.length > 0) {
      events = [...held, ...events].slice(0, MOST_ROWS);
      held = [];
      draw();
    }
    sayHeld();
  }

  function clear() {
    events = [];
    held = [];
    draw();
    sayHeld();
  }

  /**
   * @param {'good' | 'busy' | 'bad'} kind
   * @param {string} text
   */
  function say(kind, text) {
    state.className = `state ${kind}`;
    state.textContent = text;
  }

  async function readEarlier() {
    const before = newest;
    holds += 1;
    let isHolding = true;
    const release = () => {
      if (!isHolding) return;
      isHolding = false;
      holds -= 1;
      const came = early;
      early = [];
      for (const event of came) take(event);
    };
    const timer = setTimeout(release, HOLD_MS);
    try {
      const { data } = await session.get(`/api/websocket/events/user/${person.userId}`, { limit: EARLIER }, { signal });
      fill(problem);
      isMissing = false;
      const shown = new Set([...held, ...events].map(({ seq }) => seq));
      const missing = data.filter((/** @type {any} */ { seq }) => seq > before && !shown.has(seq));
      if (missing.length > 0) {
        newest = Math.max(newest, missing[0].seq);
        if (paused) held = among(held, missing);
        else events = among(events, missing);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.kind === 'unauthenticated') {
        context.signInAgain();
        return;
      }
      isMissing = true;
      fill(problem, failure(error, null, 'Earlier events are not shown; new ones are.'));
    } finally {
      clearTimeout(timer);
      if (!signal.aborted) {
        sayHeld();
        draw();
        release();
      }
    }
  }

  const service = new WebSocketService(null, session.token, person.userId, { deviceId: deviceId() });
  service.on('*', take);
  service.on('connected', ({ seq, epoch: current }) => {
    say('good', 'Live');
    if (epoch !== null && epoch !== current) newest = 0;
    epoch = current;
    // What lies between the two was told to another tab, or happened while this page was being opened.
    if (seq > newest) readEarlier();
  });
  service.on('reconnecting', ({ attempt, delay }) =>
    say('busy', `Reconnecting (attempt ${attempt}, in ${Math.max(1, Math.round(delay / 1_000))} s)`));
  service.on('disconnected', ({ willReconnect }) => {
    if (willReconnect) say('busy', 'Connection lost, reconnecting');
  });
  service.on('connection_failed', ({ final, reason, code }) => {
    if (!final) return;
    say('bad', 'Not connected');
    if (TOKEN_IS_BAD.has(code)) {
      context.signInAgain();
      return;
    }
    notices.append(h('div', { class: 'notice', role: 'alert' },
      h('p', {}, h('strong', {}, 'The server ended the connection'), `${reason || 'No reason was given'} (${code}).`),
      h('button', { class: 'button slim', type: 'button', onclick: (/** @type {any} */ event) => {
        event.target.parentElement.remove();
        connect();
      } }, 'Connect again')));
  });
  service.on('gap', () => notices.append(h('div', { class: 'notice warn', role: 'alert' },
    h('p', {}, h('strong', {}, 'Some events may be missing here'),
      `At ${clockText(Date.now())} the server could not go on where this page was. History has all that is kept.`),
    h('a', { class: 'button slim', href: '#/history' }, 'History'))));
  service.on('token_expiring', ({ expires_at: at }) => notices.append(h('div', { class: 'notice warn', role: 'status' },
    h('p', {}, h('strong', {}, 'Your token ends soon'), `At ${clockText(at)} you will have to sign in again.`))));
  service.subscribe('*');

  function connect() {
    say('busy', 'Connecting…');
    service.connect().catch(() => {
      // Told by `connection_failed`.
    });
  }

  const summaries = setInterval(() => {
    if (unsaid > 0) context.announce(plural(unsaid, 'new event'));
    unsaid = 0;
  }, SUMMARY_MS);
  signal.addEventListener('abort', () => {
    clearInterval(summaries);
    service.disconnect();
  });
  fill(nothing, loading());
  readEarlier();
  connect();
}

/**
 * Put rows among others, below those that are newer; the newest first, as all of them are.
 *
 * @param {any[]} rows
 * @param {any[]} missing At least one.
 */
function among(rows, missing) {
  const older = rows.findIndex(({ seq }) => seq < missing[0].seq);
  const place = older < 0 ? rows.length : older;
  return [...rows.slice(0, place), ...missing, ...rows.slice(place)].slice(0, MOST_ROWS);
}
