/** A `WebSocketService` with fakes for everything. */

import { WebSocketService } from '../../src/index.js';
import { authenticated, fakeSockets, ManualClock } from './fakes.js';

/**
 * Make one; `told` has what it told, in order, as [name, detail].
 */
export function makeService({ token = 'token_1', userId = 'user_123', random = () => 0.5, ...options } = {}) {
  const clock = new ManualClock();
  const { Socket, opened } = fakeSockets();
  const service = new WebSocketService('ws://server/api/websocket/ws', token, userId, {
    WebSocket: Socket,
    clock,
    random,
    ...options,
  });
  const told = [];
  for (const name of [
    '*',
    'connected',
    'disconnected',
    'reconnecting',
    'connection_failed',
    'gap',
    'error',
    'token_expiring',
    'polling',
    'subscription_updated',
  ]) {
    service.on(name, (detail) => told.push([name, detail]));
  }
  return {
    service,
    clock,
    sockets: opened,
    told,
    /** The newest socket. */
    get socket() {
      return opened.at(-1);
    },
    /** The names of what was told, in order. */
    get names() {
      return told.map(([name]) => name);
    },
    /** The numbers of the events that were told. */
    get seqs() {
      return told.filter(([name]) => name === '*').map(([, { seq }]) => seq);
    },
    /** Open the newest socket and authenticate. */
    welcome(fields = {}) {
      opened.at(-1).open();
      opened.at(-1).say(authenticated(fields));
    },
  };
}
