/** A day in numbers: by type, by source, by level. Today's move. */

import { fill, h } from './dom.js';
import { countText, dayAfter, dayOf, dayText, LEVELS, percentText, plural } from './format.js';
import { empty, levelBadge, loaded, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

const EVERY_MS = 3_000;
const DAY = /^\d{4}-\d{2}-\d{2}$/;

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function summaryPage(into, context) {
  const today = dayOf(Date.now());
  const asked = context.parameters.get('date') ?? '';
  const day = DAY.test(asked) && asked < today ? asked : today;
  const isToday = day === today;
  const address = (/** @type {string} */ to) => (to >= today ? '#/summary' : `#/summary?date=${to}`);

  const picker = h('input', {
    id: 'day', type: 'date', value: day, max: today,
    onchange(/** @type {any} */ event) {
      if (DAY.test(event.target.value)) context.go(address(event.target.value));
    },
  });
  const body = h('div', { class: 'page' });
  fill(into,
    pageHead('Summary', `${dayText(day)}, by the day in UTC on which events were accepted.`,
      h('a', { class: 'button', href: address(dayAfter(day, -1)), 'aria-label': 'The day before' }, '‹'),
      h('div', {}, h('label', { for: 'day', class: 'visually-hidden' }, 'Day'), picker),
      isToday
        ? h('span', { class: 'button', 'aria-disabled': 'true', 'aria-label': 'The day after is not here yet' }, '›')
        : h('a', { class: 'button', href: address(dayAfter(day, 1)), 'aria-label': 'The day after' }, '›'),
      isToday ? h('span', { class: 'muted small' }, 'Today, as it grows') : h('a', { class: 'button', href: '#/summary' }, 'Today')),
    body);
  loaded({
    into: body,
    context,
    everyMs: isToday ? EVERY_MS : null,
    load: async () => (await context.session.get('/api/websocket/analytics/summary', { date: day }, { signal: context.signal })).data,
    show: (summary, place) => {
      place.className = 'page';
      show(summary, place);
    },
  });
}

/**
 * @param {any} summary
 * @param {Element} into
 */
function show(summary, into) {
  const total = summary.total_events;
  const tiles = h('div', { class: 'tiles' },
    tile('Events', countText(total)),
    tile('Critical', countText(summary.critical_events), summary.critical_events > 0 ? 'critical' : ''),
    tile('Types seen', countText(Object.keys(summary.by_event_type).length)),
    tile('Sources', countText(Object.keys(summary.by_source).length)));
  if (total === 0) {
    fill(into, tiles, h('div', { class: 'card' }, empty('No events on this day', 'Days are counted in UTC.')));
    return;
  }
  fill(into, tiles,
    h('section', { class: 'card', 'aria-label': 'By level' }, h('h2', {}, 'By level'), levels(summary.by_level, total)),
    h('div', { class: 'grid' },
      h('section', { class: 'card', 'aria-label': 'By type' },
        h('h2', {}, 'By type'), bars('Type', summary.by_event_type, total)),
      h('section', { class: 'card', 'aria-label': 'By source' },
        h('h2', {}, 'By source'), bars('Source', summary.by_source, total))));
}

/**
 * @param {string} name
 * @param {string} value
 * @param {string} [more]
 */
function tile(name, value, more = '') {
  return h('div', { class: 'tile' },
    h('span', { class: 'muted small' }, name), h('span', { class: `value ${more}`.trim() }, value));
}

/**
 * @param {Record<string, number>} counts
 * @param {number} total
 */
function levels(counts, total) {
  const bar = h('div', { class: 'stack', 'aria-hidden': 'true' }, LEVELS.filter((level) => counts[level] > 0).map((level) => {
    const part = h('span', { class: level });
    part.style.flexGrow = counts[level];
    return part;
  }));
  return h('div', {}, bar,
    h('ul', { class: 'legend' }, LEVELS.map((level) =>
      h('li', {}, levelBadge(level), h('strong', {}, countText(counts[level])),
        h('span', { class: 'muted' }, percentText(counts[level], total))))));
}

/**
 * A table whose rows are bars, the largest first.
 *
 * @param {string} what
 * @param {Record<string, number>} counts
 * @param {number} total
 */
function bars(what, counts, total) {
  const rows = Object.entries(counts).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  const most = rows[0][1];
  return h('table', { class: 'bars' },
    h('caption', { class: 'visually-hidden' }, `${plural(total, 'event')} by ${what.toLowerCase()}`),
    h('thead', { class: 'visually-hidden' },
      h('tr', {}, [what, 'Events', 'Share'].map((text) => h('th', { scope: 'col' }, text)))),
    h('tbody', {}, rows.map(([name, count]) => {
      const bar = h('span', { class: 'bar' });
      bar.style.width = `${(100 * count) / most}%`;
      return h('tr', {},
        h('th', { scope: 'row' }, h('span', { class: 'wrap' }, name), h('span', { class: 'track', 'aria-hidden': 'true' }, bar)),
        h('td', {}, countText(count)),
        h('td', { class: 'muted' }, percentText(count, total)));
    })));
}
