// Listens to one type, and writes down each event in the order in which a handler was told of it.
// Settings are attributes of <html>: a page of an application would have its own way.
import { WebSocketService } from '/client/index.js';

const { token, user, type, stores, shares } = document.documentElement.dataset;
const seen = JSON.parse(sessionStorage.getItem('seen') ?? '[]');
const ws = new WebSocketService(null, token, user, {
  storage: stores === undefined ? undefined : localStorage,
  shareTabs: shares !== undefined,
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
ws.subscribe([type]);
await ws.connect();
