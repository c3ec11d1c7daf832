/**
 * Says whether the package works for who installs it: packs it, looks at what the tarball has, installs it into an empty
 * project without a network, imports it there, and has `tsc` check programs that use it. Then the same of a project that
 * links to this folder.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(dirname(fileURLToPath(import.meta.url)));
const TSC = join(HERE, 'node_modules', 'typescript', 'bin', 'tsc');

/** How an application's TypeScript may look for modules. */
const RESOLUTIONS = [
  { module: 'nodenext', moduleResolution: 'nodenext' },
  { module: 'esnext', moduleResolution: 'bundler' },
];

const IMPORTS = `
import * as client from '@harkara/client';
const { WebSocketService } = client;
new WebSocketService('ws://localhost/', 'token', 'user', { WebSocket: class {} }).subscribe('order_created');
import.meta.resolve('@harkara/client/react');
const inside = await import('@harkara/client/src/session.js').catch(({ code }) => code);
console.log(JSON.stringify([Object.keys(client).toSorted(), inside]));
`;

const project = mkdtempSync(join(tmpdir(), 'harkara-package-'));
try {
  const [packed] = JSON.parse(npm(HERE, 'pack', '--json', '--ignore-scripts', '--pack-destination', project));
  same('the tarball has', packed.files.map(({ path }) => path).toSorted(), wanted());

  same('README.md names the tarball', readFileSync(join(HERE, 'README.md'), 'utf8').includes(packed.filename), true);

  check('from the tarball', join(project, packed.filename), false);
  check('from the clone', HERE, true);
} finally {
  rmSync(project, { recursive: true });
}

/**
 * Install into a project of its own, and use what is there.
 *
 * @param {string} how
 * @param {string} source What `npm install` is given.
 * @param {boolean} isLink Whether that is to be a link to it.
 */
function check(how, source, isLink) {
  const folder = join(project, how.replaceAll(' ', '-'));
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  npm(folder, 'install', '--offline', '--no-audit', '--no-fund', '--no-package-lock', source);
  const installed = join(folder, 'node_modules', '@harkara');
  same(`${how} there is installed`, readdirSync(installed), ['client']);
  same(`${how} it is a link:`, lstatSync(join(installed, 'client')).isSymbolicLink(), isLink);
  writeFileSync(join(folder, 'imports.js'), IMPORTS);
  same(`${how} there is to import`, JSON.parse(run(folder, process.execPath, 'imports.js')), [
    ['CLOSE_ACTIONS', 'ConnectionError', 'WebSocketService'],
    'ERR_PACKAGE_PATH_NOT_EXPORTED',
  ]);

  // In a folder of its own: what is installed here, types of React among it, is not what an application has.
  mkdirSync(join(folder, 'usage'));
  for (const name of readdirSync(join(HERE, 'test', 'types')).filter((one) => one.endsWith('.ts'))) {
    copyFileSync(join(HERE, 'test', 'types', name), join(folder, 'usage', name));
  }
  for (const resolution of RESOLUTIONS) {
    const compilerOptions = { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom'], types: [], ...resolution };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['usage'] }));
    run(folder, process.execPath, TSC, '-p', folder);
  }
}

/** What the tarball is to have: the modules, their types, and what describes them. */
function wanted() {
  const modules = readdirSync(join(HERE, 'src'));
  const types = modules.map((name) => name.replace(/\.js$/, '.d.ts'));
  return [
    'README.md',
    'package.json',
    ...modules.map((name) => `src/${name}`),
    ...[...types, 'events.d.ts'].map((name) => `types/${name}`),
  ].toSorted();
}

/**
 * @param {string} what
 * @param {unknown} found
 * @param {unknown} expected
 */
function same(what, found, expected) {
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Error(`${what} ${JSON.stringify(found)}\nand not ${JSON.stringify(expected)}`);
}

/**
 * @param {string} folder
 * @param {...string} words
 */
function npm(folder, ...words) {
  return run(folder, 'npm', ...words);
}

/**
 * @param {string} folder
 * @param {string} program
 * @param {...string} words
 */
function run(folder, program, ...words) {
  try {
    return execFileSync(program, words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = /** @type {{stdout: string, stderr: string}} */ (error);
    throw new Error(`${program} ${words.join(' ')}\n${stdout}${stderr}`);
  }
}
