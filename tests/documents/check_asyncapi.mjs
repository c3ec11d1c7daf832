// Checks an AsyncAPI document, on standard input, with the AsyncAPI project's own parser. Exit status 1 where it
// finds an error or a warning, or no event type of a name that is given as an argument.
import { text } from 'node:stream/consumers';

import { Parser } from '@asyncapi/parser';

const WARNING = 1; // Severities: 0 error, 1 warning, 2 information, 3 hint.
// Told of every document that does not say 3.1.0; which release we write is our choice.
const EXPECTED = new Set(['asyncapi-latest-version']);

const source = await text(process.stdin);
const { document, diagnostics } = await new Parser().parse(source);
const faults = diagnostics.filter(({ code, severity }) => severity <= WARNING && !EXPECTED.has(String(code)));
const missing = process.argv.slice(2).filter((name) => !source.includes(`"${name}"`));
if (missing.length > 0) throw new Error(`no event type ${missing.join(', ')}`);
for (const { code, message, path } of faults) console.error(`${path.join('.')}: ${message} (${code})`);
if (!document || faults.length > 0) {
  console.error('this is no sound AsyncAPI document');
  process.exitCode = 1;
} else {
  const { length: operations } = document.operations().all();
  const { length: messages } = document.messages().all();
  if (operations === 0 || messages === 0) throw new Error('a document without operations or messages says nothing');
  console.log(`AsyncAPI ${document.version()}: ${operations} operations, ${messages} messages, sound`);
}
