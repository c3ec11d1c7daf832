/** The small drawings beside the names of pages: lines in a square of 24. */

const SVG = 'http://www.w3.org/2000/svg';

/** @type {Record<string, string>} */
const PATHS = {
  live: 'M3 12h4l3-8 4 16 3-8h4',
  summary: 'M5 20v-8M12 20V4M19 20v-12',
  critical: 'M12 4l9 16H3zM12 10v4M12 17v.01',
  feed: 'M5 5a14 14 0 0 1 14 14M5 11a8 8 0 0 1 8 8M6 18v.01',
  history: 'M4 12a8 8 0 1 0 3-6.2L4 8M4 4v4h4M12 8v4l3 2',
  api: 'M8 7l-5 5 5 5M16 7l5 5-5 5',
};

/** @param {string} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name] ?? '');
  svg.append(path);
  return svg;
}
