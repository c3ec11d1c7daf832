// What an application's own bundle does: the reference's scripts find the class where they expect it.
import { WebSocketService } from '/client/index.js';

globalThis.WebSocketService = WebSocketService;
