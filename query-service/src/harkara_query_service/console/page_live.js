/** What is connected now: four numbers, asked for each second, as lines that move. */

import { timeChart } from './charts.js';
import { fill, h, segmented } from './dom.js';
import { clockText, countText } from './format.js';
import { Samples } from './samples.js';
import { ApiError } from './session.js';
import { failure, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

const EVERY_MS = 1_000;
const LONGEST_WAIT_MS = 10_000;
const MINUTE_MS = 60_000;

const MEASURES = [
  ['total_connections', 'Connections', 'Sockets that are signed in, over all edges', '--chart-1'],
  ['total_users', 'Users', 'People with a connection, each once', '--chart-2'],
  ['queued_events', 'Queued events', 'Not yet handed to connections that are behind', '--chart-3'],
  ['active_subscriptions', 'Subscriptions', 'Subscribed types, over all connections', '--chart-4'],
];

// They outlive the page: who comes back sees the gap they left.
const samples = new Samples(15 * MINUTE_MS, 5 * EVERY_MS);
let minutes = '1';

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function livePage(into, context) {
  const state = h('p', { class: 'state busy', role: 'status' }, 'Connecting…');
  const problem = h('div');
  /** @type {Map<string, HTMLElement>} */
  const values = new Map();
  /** @type {Map<string, HTMLElement>} */
  const places = new Map();
  /** @type {Map<string, Awaited<ReturnType<typeof timeChart>>>} */
  const draw = new Map();
  const cards = MEASURES.map(([name, title, meaning]) => {
    const value = h('p', { class: 'value' }, '–');
    const chart = h('div', { class: 'chart', role: 'img', 'aria-label': title });
    values.set(name, value);
    places.set(name, chart);
    return h('section', { class: 'card measure', 'aria-label': title },
      h('div', { class: 'card-head' },
        h('div', {}, h('h2', {}, title), h('p', { class: 'muted small' }, meaning)), value),
      chart);
  });
  fill(into,
    pageHead('Live', 'What is connected now, counted over all edges and event-services each second.', state,
      segmented('Stretch of time', [['1', '1 min'], ['5', '5 min'], ['15', '15 min']], minutes, (chosen) => {
        minutes = chosen;
        show();
      })),
    problem,
    h('div', { class: 'grid measures' }, cards));

  function show() {
    const to = Date.now();
    const from = to - Number(minutes) * MINUTE_MS;
    for (const [name, title] of MEASURES) {
      const { points, gaps } = samples.line(name, from);
      draw.get(name)?.({ points, gaps, from, to });
      const now = samples.last?.values?.[name];
      const label = `${title} over the last ${minutes === '1' ? 'minute' : `${minutes} minutes`}`;
      places.get(name)?.setAttribute('aria-label', now === undefined ? label : `${label}; last ${now}`);
    }
  }

  /** @type {number | undefined} */
  let timer;
  let failures = 0;
  let said = '';

  /**
   * @param {'good' | 'busy' | 'bad'} kind
   * @param {string} text
   * @param {string} aloud What a screen reader is told, where it is new.
   */
  function say(kind, text, aloud) {
    state.className = `state ${kind}`;
    state.textContent = text;
    if (aloud !== said) context.announce(aloud);
    said = aloud;
  }

  let asking = false;

  async function poll() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    try {
      await ask();
    } finally {
      asking = false;
    }
  }

  async function ask() {
    let wait = EVERY_MS;
    try {
      const { data } = await context.session.get('/api/websocket/stats', {}, { signal: context.signal });
      if (context.signal.aborted) return;
      samples.add(Date.now(), data);
      failures = 0;
      for (const [name] of MEASURES) values.get(name)?.replaceChildren(countText(Number(data[name])));
      fill(problem);
      say('good', `Live, ${clockText(data.timestamp)}`, 'Counts are live');
    } catch (error) {
      if (context.signal.aborted) return;
      if (error instanceof ApiError && error.kind === 'unauthenticated') {
        context.signInAgain();
        return;
      }
      samples.add(Date.now(), null);
      for (const value of values.values()) value.replaceChildren('–');
      const { last } = samples;
      fill(problem, failure(error, poll, last ? `The last counts are of ${clockText(last.at)}. Trying again by itself.` : ''));
      say('bad', 'No answer', 'No counts at the moment');
      if (error instanceof ApiError && error.kind === 'forbidden') return;
      wait = Math.min(LONGEST_WAIT_MS, EVERY_MS * 2 ** failures);
      failures += 1;
    }
    show();
    if (!document.hidden) timer = setTimeout(poll, wait);
  }

  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (!document.hidden) poll();
  }, { signal: context.signal });
  addEventListener('online', poll, { signal: context.signal });
  context.signal.addEventListener('abort', () => clearTimeout(timer));
  poll();
  for (const [name, title, , variable] of MEASURES) {
    const place = /** @type {HTMLElement} */ (places.get(name));
    timeChart(place, { name: title, colour: variable, signal: context.signal }).then((drawing) => {
      draw.set(name, drawing);
      show();
    }, () => fill(place, h('p', { class: 'muted small' }, 'The chart cannot be drawn: its library did not load.')));
  }
}
