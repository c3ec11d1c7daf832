/** One event: every field of it, its data as it was emitted, and what is known of its delivery. */

import { deviceId } from './device.js';
import { fill, h } from './dom.js';
import { agoText, fullText, jsonPieces, jsonText, plural, spanText } from './format.js';
import { ApiError } from './session.js';
import { empty, levelBadge, loaded, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

// Devices' acknowledgements are written every few seconds.
const AGAIN_MS = 6_000;
const NEWS_MS = 60_000;

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function eventPage(into, context) {
  const id = context.path[0] ?? '';
  const body = h('div');
  const head = pageHead('Event', h('span', { class: 'mono wrap' }, id));
  fill(into, head, body);
  /** @type {number | undefined} */
  let news;
  context.signal.addEventListener('abort', () => clearTimeout(news));
  const path = `/api/websocket/events/${encodeURIComponent(id)}`;
  loaded({
    into: body,
    context,
    async load() {
      try {
        return (await context.session.get(path, {}, { signal: context.signal })).data;
      } catch (error) {
        if (error instanceof ApiError && error.kind === 'not_found') return null;
        throw error;
      }
    },
    show(event, place) {
      if (event === null) {
        fill(place, h('div', { class: 'card' }, context.person.staff
          ? empty('There is no such event', 'Its id may be wrong, or it is older than events are kept.')
          : empty('You have no such event', 'Its id may be wrong, it is older than events are kept, or it is another’s.')));
        return;
      }
      fill(/** @type {Element} */ (head.querySelector('h1')), event.event_type);
      document.title = `${event.event_type} · Harkara`;
      const trail = h('div');
      clearTimeout(news);
      const again = h('button', { class: 'button slim', type: 'button', onclick: () => delivery.reload() }, 'Look again');
      fill(place, h('div', { class: 'event-page' },
        h('div', { class: 'column' }, facts(event, context), data(event)),
        h('section', { class: 'card', 'aria-label': 'Delivery' },
          h('div', { class: 'card-head' }, h('h2', {}, 'Delivery'), again), trail)));
      // By itself only while it is news: each look of staff at another's event is kept in the audit log.
      const delivery = loaded({
        into: trail,
        context,
        async load() {
          const { data: known } = await context.session.get(`${path}/delivery`, {}, { signal: context.signal });
          const all = known.devices.length > 0 && known.devices.every((/** @type {any} */ device) => device.acknowledged);
          const age = Date.now() - new Date(event.created_at).getTime();
          if (!all && age < NEWS_MS) news = setTimeout(() => delivery.reload(), AGAIN_MS);
          return known;
        },
        show: (known, at) => fill(at, steps(event, known)),
      });
    },
  });
}

/**
 * @param {any} event
 * @param {Context} context
 */
function facts(event, context) {
  const user = context.person.staff ? `#/history?user=${encodeURIComponent(event.user_id)}` : '#/history';
  /** @type {[string, import('./dom.js').Child][]} */
  const rows = [
    ['Type', h('strong', {}, event.event_type)],
    ['Level', levelBadge(event.event_level)],
    ['User', h('a', { href: user }, event.user_id)],
    ['Source', event.source],
    ['Number', h('span', {}, `${event.seq} `, h('span', { class: 'muted' }, 'of this user’s stream'))],
    ['Happened', moment(event.timestamp)],
    ['Accepted', moment(event.created_at)],
    ['Id', h('span', { class: 'with-button' }, h('code', {}, event.event_id), copyButton('Copy the id', event.event_id))],
  ];
  return h('section', { class: 'card', 'aria-label': 'Fields' }, h('h2', {}, 'Fields'),
    h('dl', { class: 'facts' }, rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])));
}

/** @param {string} time */
function moment(time) {
  return h('span', {}, h('time', { dateTime: time, title: time }, fullText(time)), ' ',
    h('span', { class: 'muted' }, agoText(time, Date.now())));
}

/** @param {any} event */
function data(event) {
  return h('section', { class: 'card', 'aria-label': 'Data' },
    h('div', { class: 'card-head' }, h('h2', {}, 'Data'), copyButton('Copy the data', jsonText(event.data))),
    h('pre', { class: 'json', tabIndex: 0, 'aria-label': 'The event’s data, as JSON' },
      jsonPieces(event.data).map(([kind, text]) => (kind === 'plain' ? text : h('span', { class: kind }, text)))));
}

/**
 * @param {string} label
 * @param {string} text
 */
function copyButton(label, text) {
  const button = h('button', {
    class: 'button slim', type: 'button', 'aria-label': label,
    async onclick() {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = 'Copied';
      } catch {
        button.textContent = 'Not allowed';
      }
      setTimeout(() => (button.textContent = 'Copy'), 1_500);
    },
  }, 'Copy');
  return button;
}

/**
 * What is known, and no more: nobody keeps which socket an event was written to; devices that acknowledge are kept.
 *
 * @param {any} event
 * @param {any} delivery
 */
function steps(event, delivery) {
  const now = Date.now();
  const delay = new Date(event.created_at).getTime() - new Date(event.timestamp).getTime();
  const late = delay < 0 ? 'Its emitter’s clock is ahead of ours.' : `${spanText(delay)} after it happened.`;
  const reached = delivery.devices.filter((/** @type {any} */ device) => device.acknowledged);
  const steps = [
    step('done', 'Happened', fullText(event.timestamp), `As ${event.source} said.`),
    step('done', 'Accepted and stored', fullText(event.created_at), late),
    step('done', `Numbered ${event.seq}`, `in the stream of ${event.user_id}`,
      'Devices get a user’s events in this order, without a hole.'),
  ];
  if (delivery.collapse_key !== null) {
    steps.push(step('note', 'May be superseded', h('code', {}, delivery.collapse_key),
      'A newer event with this collapse key takes its place where a device has not got it yet.'));
  }
  if (delivery.expires_at !== null) {
    const over = new Date(delivery.expires_at).getTime() <= now;
    steps.push(step('note', over ? 'Expired' : 'Expires', fullText(delivery.expires_at),
      over ? 'Devices that had not got it by then do not get it any more.' : 'After that it is not delivered any more.'));
  } else steps.push(step('done', 'Does not expire', 'Delivered for as long as it is kept.', null));
  steps.push(step(reached.length ? 'done' : 'open', 'Acknowledged',
    delivery.devices.length === 0 ? 'No device of this user acknowledges.'
      : `by ${reached.length} of ${plural(delivery.devices.length, 'device')}`,
    delivery.devices.length === 0
      ? h('span', {}, 'Only devices that send a ', h('code', {}, 'device_id'),
        ' and acknowledge are known here. It may well have been delivered.')
      : h('ul', { class: 'devices' }, delivery.devices.map((/** @type {any} */ device) =>
        h('li', {},
          h('span', { class: device.acknowledged ? 'state good' : 'state' }, h('code', {}, device.device_id),
            device.device_id === deviceId() ? ' (this browser)' : null),
          h('span', { class: 'muted small' }, device.acknowledged ? 'has acknowledged up to ' : 'is at ',
            `${device.acked_seq} · ${agoText(device.updated_at, now)}`))))));
  return h('ol', { class: 'trail' }, steps);
}

/**
 * @param {'done' | 'open' | 'note'} kind
 * @param {string} title
 * @param {import('./dom.js').Child} what
 * @param {import('./dom.js').Child} more
 */
function step(kind, title, what, more) {
  return h('li', { class: kind }, h('h3', {}, title), h('p', {}, what), more ? h('div', { class: 'muted small' }, more) : null);
}
