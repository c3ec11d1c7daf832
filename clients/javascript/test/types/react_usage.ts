// What an editor must know about the hook. Compiled by `npm run check`, never run.

import type { WebSocketService } from '@harkara/client';
import { useHarkara } from '@harkara/client/react';

declare const ws: WebSocketService;

const { isConnected, lastEvent } = useHarkara(ws, ['order_created', 'order_ready'], (event) => {
  const type: 'order_created' | 'order_ready' = event.type;
  return type;
});
const order: string | null | undefined = lastEvent?.data.order_id;
// @ts-expect-error - the hook has no such field.
export const { lastError } = useHarkara(ws, ['order_created']);
export { isConnected, order };
