/**
 * Says whether the package works for who installs it: packs it, looks at what the tarball has, installs it into an empty
 * project without a network, imports it there, and has `tsc` check programs that use it.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

  writeFileSync(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  npm(project, 'install', '--offline', '--no-audit', '--no-fund', '--no-package-lock', packed.filename);
  same('there is installed', readdirSync(join(project, 'node_modules', '@harkara')), ['client']);
  writeFileSync(join(project, 'imports.js'), IMPORTS);
  const imported = JSON.parse(run(project, process.execPath, 'imports.js'));
  same('there is to import', imported, [
    ['CLOSE_ACTIONS', 'ConnectionError', 'WebSocketService'],
    'ERR_PACKAGE_PATH_NOT_EXPORTED',
  ]);

  // In a folder of its own: what is installed here, types of React among it, is not what an application has.
  mkdirSync(join(project, 'usage'));
  for (const name of readdirSync(join(HERE, 'test', 'types')).filter((one) => one.endsWith('.ts'))) {
    copyFileSync(join(HERE, 'test', 'types', name), join(project, 'usage', name));
  }
  for (const resolution of RESOLUTIONS) {
    const compilerOptions = { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom'], types: [], ...resolution };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['usage'] }));
    run(project, process.execPath, TSC, '-p', project);
  }
} finally {
  rmSync(project, { recursive: true });
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
