/** Signing in: a token is pasted; where people get one, is their deployment's. */

import { fill, h } from './dom.js';
import { claimsOf } from './session.js';

/**
 * @param {HTMLElement} into
 * @param {{notice: string, signIn: (token: string) => void}} options
 */
export function signInPage(into, { notice, signIn }) {
  const problem = h('p', { id: 'token-problem', class: 'problem', role: 'alert' });
  const token = h('textarea', {
    id: 'token', rows: 5, spellcheck: false, autocomplete: 'off', required: true,
    placeholder: 'eyJhbGciOi…', 'aria-describedby': 'token-hint token-problem',
    onkeydown(/** @type {KeyboardEvent} */ event) {
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        form.requestSubmit();
      }
    },
  });
  const form = h('form', {
    noValidate: true,
    onsubmit(/** @type {Event} */ event) {
      event.preventDefault();
      const given = token.value.trim().replace(/^Bearer\s+/i, '');
      if (claimsOf(given) === null) {
        fill(problem, given === '' ? 'Paste a token first.' : 'That is not a token: it must be three parts with dots.');
        token.setAttribute('aria-invalid', 'true');
        token.focus();
      } else signIn(given);
    },
  },
    h('div', { class: 'field' },
      h('label', { for: 'token' }, 'Token'),
      token,
      h('p', { id: 'token-hint', class: 'muted small' }, 'A user’s JWT. It stays in this tab, and is forgotten with it.'),
      problem),
    h('button', { class: 'button primary', type: 'submit' }, 'Sign in'));
  fill(into, h('div', { class: 'gate' },
    h('div', { class: 'card' },
      h('h1', { tabIndex: -1 }, 'Sign in'),
      h('p', { class: 'muted' }, 'Harkara delivers the events of orders and deliveries to the people they are for. ',
        'See here what happened, and what is connected now.'),
      notice ? h('p', { class: 'notice warn', role: 'alert' }, notice) : null,
      form,
      h('details', {},
        h('summary', {}, 'Where do I get a token?'),
        h('p', { class: 'muted small' }, 'From whoever signs people in. On a machine that runs ',
          h('code', {}, './harkara up'), ' one is made with:'),
        h('pre', { class: 'json' }, './harkara token --user demo_admin\n./harkara token --user demo_customer')))));
  token.focus();
}
