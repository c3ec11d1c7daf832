/** The critical events of the last hours, of everybody. */

import { field, fill, h } from './dom.js';
import { countText, plural } from './format.js';
import { empty, eventRow, eventsHead, loaded, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

const EVERY_MS = 5_000;
const CHOICES = [[1, 'Last hour'], [6, 'Last 6 hours'], [24, 'Last 24 hours'], [72, 'Last 3 days'], [168, 'Last 7 days']];
const LIMIT = 100;

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function criticalPage(into, context) {
  const asked = Number(context.parameters.get('hours') ?? 24);
  const hours = CHOICES.some(([choice]) => choice === asked) ? asked : 24;
  const choice = h('select', {
    id: 'hours',
    onchange: (/** @type {any} */ event) => context.go(`#/critical?hours=${event.target.value}`),
  }, CHOICES.map(([value, text]) => h('option', { value, selected: value === hours }, text)));
  const body = h('div');
  fill(into, pageHead('Critical events', 'What somebody should look at, newest first.', field('Time', choice)), body);
  /** @type {Set<string> | null} */
  let known = null;
  loaded({
    into: body,
    context,
    everyMs: EVERY_MS,
    load: () => context.session.get('/api/websocket/critical-events', { hours, limit: LIMIT }, { signal: context.signal }),
    show({ critical_count: count, data }, place) {
      const now = Date.now();
      const text = CHOICES.find(([value]) => value === hours)?.[1] ?? '';
      if (data.length === 0) {
        fill(place, h('div', { class: 'card' }, empty('No critical events', `None in the ${text.toLowerCase()}.`)));
      } else {
        const seen = known;
        fill(place, h('section', { class: 'card list', 'aria-label': 'Critical events' },
          h('div', { class: 'card-head' },
            h('h2', {}, plural(count, 'critical event')),
            count > data.length ? h('p', { class: 'muted small' }, `The newest ${countText(data.length)} are shown.`) : null),
          eventsHead('user'),
          h('ol', { class: 'events' }, data.map((/** @type {any} */ event) =>
            eventRow(event, { now, about: 'user', isNew: seen !== null && !seen.has(event.event_id) })))));
        const fresh = seen === null ? 0 : data.filter((/** @type {any} */ event) => !seen.has(event.event_id)).length;
        if (fresh > 0) context.announce(plural(fresh, 'new critical event'));
      }
      known = new Set(data.map((/** @type {any} */ event) => event.event_id));
    },
  });
}
