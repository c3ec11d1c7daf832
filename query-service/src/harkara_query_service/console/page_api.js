/** The two APIs, as their own documents describe them. */

import { fill, h } from './dom.js';
import { plural } from './format.js';
import { empty, loaded, pageHead } from './ui.js';

/** @typedef {import('./app.js').Context} Context */

/**
 * @param {HTMLElement} into
 * @param {Context} context
 */
export function apiPage(into, context) {
  const rest = h('div');
  const socket = h('div');
  fill(into,
    pageHead('APIs', 'What programs can ask of Harkara. Both documents are made from the code that answers.'),
    h('section', { class: 'card', 'aria-label': 'REST' },
      h('div', { class: 'card-head' }, h('h2', {}, 'REST'), h('a', { href: '/openapi.json', target: '_blank', rel: 'noopener' }, 'OpenAPI document')), rest),
    h('section', { class: 'card', 'aria-label': 'WebSocket' },
      h('div', { class: 'card-head' }, h('h2', {}, 'WebSocket'), h('a', { href: '/asyncapi.json', target: '_blank', rel: 'noopener' }, 'AsyncAPI document')), socket));
  loaded({
    into: rest,
    context,
    load: () => context.session.get('/openapi.json', {}, { signal: context.signal }),
    show: (document, place) => fill(place, h('ul', { class: 'operations' }, operations(document))),
  });
  loaded({
    into: socket,
    context,
    load: () => context.session.get('/asyncapi.json', {}, { signal: context.signal }),
    show: (document, place) => fill(place, messages(document)),
  });
}

/** @param {any} document */
function operations(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(/** @type {Record<string, any>} */ (methods)).map(([method, operation]) => {
      const names = (operation.parameters ?? [])
        .filter((/** @type {any} */ parameter) => parameter.in === 'query')
        .map((/** @type {any} */ parameter) => parameter.name);
      return h('li', {},
        h('p', { class: 'wrap' }, h('span', { class: 'method' }, method.toUpperCase()), ' ', h('code', {}, breakable(path))),
        h('p', { class: 'muted small' }, operation.summary,
          names.length ? h('span', {}, '. Parameters: ', h('code', {}, names.join(', '))) : null));
    }));
}

/** @param {any} document */
function messages(document) {
  const url = globalThis.document.querySelector('meta[name="harkara-websocket-url"]')?.getAttribute('content');
  const known = Object.values(document.components?.messages ?? {});
  if (known.length === 0) return empty('The document names no messages');
  return h('div', {},
    h('p', { class: 'wrap' }, h('span', { class: 'method' }, 'WS'), ' ',
      h('code', {}, url || `${location.origin.replace(/^http/, 'ws')}/api/websocket/ws`)),
    h('details', {},
      h('summary', {}, plural(known.length, 'message')),
      h('ul', { class: 'operations' }, known.map((/** @type {any} */ message) => h('li', {},
        h('p', {}, h('code', {}, message.name ?? message.title)),
        h('p', { class: 'muted small wrap' }, withCode(message.summary ?? message.title ?? '')))))));
}

/** @param {string} path A line may end before each of its parts. */
function breakable(path) {
  return path.split(/(?=\/)/).flatMap((part) => [h('wbr'), part]);
}

/** @param {string} text In which `` `…` `` is code. */
function withCode(text) {
  return text.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));
}
