// Listens to one type, and writes down each event in the order in which a handler was told of it.
// Settings are attributes of <html>: a page of an application would have its own way.
import { WebSocketService } from '/client/index.js';

const { token, user, type, stores, shares, polls } = document.documentElement.dataset;
const seen = JSON.parse(sessionStorage.getItem('seen') ?? '[]');
// Without a token the test gives one, each time that one is asked for.
const ws = new WebSocketService(null, token ?? (({ reason }) => mintToken(reason)), user, {
  storage: stores === undefined ? undefined : localStorage,
  shareTabs: shares !== undefined,
  polling: polls === undefined ? undefined : { url: polls, afterFailures: 1, intervalMs: 200 },
});

ws.on(type, (event) => {
  seen.push([event.seq, event.event_id]);
  globalThis.heardAt = performance.now();
  // A reload is to find what this page was told.
  sessionStorage.setItem('seen', JSON.stringify(seen));
});
Object.assign(globalThis, { seen, ws });
ws.on('subscription_updated', () => {
  globalThis.ready = true;
});
ws.on('polling', ({ active }) => {
  globalThis.isPolling = active;
});
ws.subscribe([type]);
ws.connect().catch(() => {
  // Where it polls meanwhile it goes on trying.
});
