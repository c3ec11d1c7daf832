/**
 * How things are written: times, counts, JSON. Pure: no page, no clock of its own.
 */

import { ExactNumber } from './session.js';

export const LEVELS = ['critical', 'high', 'medium', 'low'];

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param {number} count */
export function countText(count) {
  return new Intl.NumberFormat('en').format(count);
}

/**
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/**
 * A share of a whole.
 *
 * @param {number} part
 * @param {number} whole
 */
export function percentText(part, whole) {
  if (whole === 0) return '0%';
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return '<0.1%';
  return `${percent.toFixed(percent < 10 && !Number.isInteger(percent) ? 1 : 0)}%`;
}

/**
 * The time of day, here.
 *
 * @param {string | number} time ISO 8601, or milliseconds.
 */
export function clockText(time) {
  const moment = new Date(time);
  return Number.isNaN(moment.getTime()) ? String(time) : moment.toLocaleTimeString('en-GB');
}

/**
 * A moment, here, as short as it can be told apart from now: the time today, else the day too.
 *
 * @param {string} time ISO 8601.
 * @param {number} now
 */
export function momentText(time, now) {
  const moment = new Date(time);
  if (Number.isNaN(moment.getTime())) return time;
  if (moment.toDateString() === new Date(now).toDateString()) return clockText(time);
  return moment.toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
}

/**
 * A moment in full, to the millisecond, here.
 *
 * @param {string} time ISO 8601.
 */
export function fullText(time) {
  const moment = new Date(time);
  if (Number.isNaN(moment.getTime())) return time;
  return moment.toLocaleString('en-GB', {
    weekday: 'short', day: 'numeric', month: 'short', year: 'numeric',
    hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, timeZoneName: 'short',
  });
}

/**
 * How long ago.
 *
 * @param {string} time ISO 8601.
 * @param {number} now
 */
export function agoText(time, now) {
  const passed = now - new Date(time).getTime();
  if (Number.isNaN(passed)) return '';
  const text = spanText(Math.abs(passed));
  return passed < 0 ? `in ${text}` : `${text} ago`;
}

/**
 * A stretch of time, in its largest unit.
 *
 * @param {number} ms Not negative.
 */
export function spanText(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < HOUR) return plural(Math.floor(ms / MINUTE), 'minute');
  if (ms < DAY) return plural(Math.floor(ms / HOUR), 'hour');
  return plural(Math.floor(ms / DAY), 'day');
}

/**
 * A UTC day, some days on.
 *
 * @param {string} day `YYYY-MM-DD`.
 * @param {number} days
 */
export function dayAfter(day, days) {
  return dayOf(new Date(`${day}T00:00:00Z`).getTime() + days * DAY);
}

/**
 * The UTC day of a moment.
 *
 * @param {number} ms
 */
export function dayOf(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}

/**
 * A day in words.
 *
 * @param {string} day `YYYY-MM-DD`.
 */
export function dayText(day) {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString('en-GB', {
    weekday: 'long', day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC',
  });
}

/**
 * JSON in pieces, each with what it is, so that it can be coloured.
 *
 * @param {unknown} value As `parseExactly` gives it.
 * @param {string} [indent]
 * @returns {[kind: 'plain' | 'key' | 'text' | 'number' | 'word', text: string][]}
 */
export function jsonPieces(value, indent = '') {
  if (value instanceof ExactNumber) return [['number', value.text]];
  if (typeof value === 'number') return [['number', String(value)]];
  if (typeof value === 'string') return [['text', JSON.stringify(value)]];
  if (value === null || typeof value !== 'object') return [['word', String(value)]];
  const deeper = `${indent}  `;
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return [['plain', isList ? '[]' : '{}']];
  /** @type {ReturnType<typeof jsonPieces>} */
  const pieces = [['plain', isList ? '[\n' : '{\n']];
  for (const [index, [key, item]] of entries.entries()) {
    pieces.push(['plain', deeper]);
    if (!isList) pieces.push(['key', JSON.stringify(key)], ['plain', ': ']);
    pieces.push(...jsonPieces(item, deeper), ['plain', index < entries.length - 1 ? ',\n' : '\n']);
  }
  pieces.push(['plain', `${indent}${isList ? ']' : '}'}`]);
  return pieces;
}

/** @param {unknown} value As `parseExactly` gives it. */
export function jsonText(value) {
  return jsonPieces(value).map(([, text]) => text).join('');
}

/**
 * An event's data in one line, its most telling fields first.
 *
 * @param {unknown} data
 * @param {number} [most] Characters.
 */
export function previewText(data, most = 160) {
  if (data === null || typeof data !== 'object') return String(data);
  const parts = Object.entries(data).map(([name, value]) => `${name}=${shortValue(value)}`);
  const text = parts.join('  ');
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** @param {unknown} value */
function shortValue(value) {
  if (Array.isArray(value)) return `[${value.length}]`;
  if (value !== null && typeof value === 'object' && !(value instanceof ExactNumber)) return '{…}';
  return String(value);
}
