/** Says whether `types/` is what `npm run types` would write: exits 1 and names each file that is not. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Made from the catalogue (generate.py), and checked by a test of its own.
const NOT_OURS = new Set(['events.d.ts']);

const fresh = mkdtempSync(join(tmpdir(), 'harkara-types-'));
try {
  execFileSync('npx', ['tsc', '--declarationDir', fresh], { stdio: 'inherit' });
  const kept = readdirSync('types').filter((name) => !NOT_OURS.has(name));
  const stale = [...new Set([...readdirSync(fresh), ...kept])].filter(
    (name) => read(join(fresh, name)) !== read(join('types', name)),
  );
  for (const name of stale) console.error(`stale: types/${name} (run npm run types)`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} finally {
  rmSync(fresh, { recursive: true });
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
