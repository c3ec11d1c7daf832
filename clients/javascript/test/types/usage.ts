// What an editor must know about events. Compiled by `npm run check`, never run.

import { type HarkaraEvent, WebSocketService } from '@harkara/client';

const ws = new WebSocketService(null, async ({ reason }) => `token for ${reason}`, 'user_123', {
  storage: localStorage,
});
await ws.connect();
ws.subscribe(['order_created', 'a_deployments_own']);

ws.on('order_created', (event) => {
  const total: number | null | undefined = event.data.total_amount;
  const name: 'order_created' = event.type;
  // @ts-expect-error - an order has no wallet.
  const wallet: string = event.data.wallet;
  return [total, name, wallet];
});

ws.on('*', (event) => {
  if (event.event_type === 'earning_recorded') {
    const base: number | null | undefined = event.data.breakdown?.base;
    return base;
  }
  return event.level === 'critical';
});

ws.on('connection_failed', ({ final, attempts }) => final || attempts > 5);
ws.on('gap', ({ before, after }) => after.seq - before.seq);
// @ts-expect-error - a gap has no reason.
ws.on('gap', ({ reason }) => reason);
ws.on('a_deployments_own', (event) => event.data.anything);

export const kept: HarkaraEvent[] = [];
const { isConnected, queuedMessages }: { isConnected: boolean; queuedMessages: number } = ws.getStatus();
export { isConnected, queuedMessages };
