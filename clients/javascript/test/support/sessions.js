/** Sessions in the states that tests begin with, and what is to be done. */

import { Session } from '../../src/session.js';
import { authenticated } from './fakes.js';

/** A session that stands at `state`, by the shortest way; `now` is 0. */
export function sessionAt(state, options = {}) {
  const session = new Session({ token: 'token_1', random: () => 0.5, ...options });
  if (state === 'idle') return session;
  session.connect(0);
  if (state === 'fetching' || state === 'connecting') return session;
  if (state === 'waiting') session.closed(1006, '', 0);
  else if (state === 'stopped') session.closed(4403, '', 0);
  else {
    session.opened(0);
    if (state === 'open') session.received(authenticated(), 0);
  }
  return session;
}

/** Those effects that are of this kind. */
export const only = (effects, kind) => effects.filter((effect) => effect.kind === kind);
/** For how long a timer is set. */
export const timer = (effects, name) => only(effects, 'set_timer').find((effect) => effect.name === name)?.ms;
/** What is told, in order. */
export const names = (effects) => only(effects, 'tell').map((effect) => effect.name);
