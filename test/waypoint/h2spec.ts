/**
 * h2spec against the port of a waypoint, which has a server of HTTP/1.1 behind it.
 *
 * Run by hand: `H2SPEC=/path/to/h2spec tap --disable-coverage --timeout=300 test/waypoint/h2spec.ts`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'tap';
import { http1Backend, routesTo, startProxy } from '../helpers/waypoint-rig.ts';

const program = process.env['H2SPEC'] ?? '';
const skip = program === '' ? 'set H2SPEC to the path of h2spec' : false;

/**
 * It takes no notice of our SETTINGS (MAX_FRAME_SIZE is 1 MiB); and what is no preface of HTTP/2 is
 * answered here as HTTP/1, with 400.
 */
const KNOWN: readonly string[] = [
  'Sends invalid connection preface',
  'Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE',
];

test('h2spec finds nothing that is not known', { skip, timeout: 600_000 }, async (t) => {
  const backend = await http1Backend(t, (request, response) => {
    request.resume();
    response.end('hello');
  });
  const { port } = await startProxy(t, routesTo(backend));
  const args = ['-h', '127.0.0.1', '-p', String(port), '-o', '3', '--strict'];
  const tool = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  tool.stdout.setEncoding('utf8').on('data', (text: string) => lines.push(text));
  await once(tool, 'close');
  const output = lines.join('');
  const failed = Array.from(output.matchAll(/^.*× (.+)$/gm), ([, name = '']) => name);
  t.comment(output.trim().split('\n').slice(-3).join(' '));
  t.match(output, /\b146 tests, /, 'it ran to its end');
  t.strictSame(
    Array.from(new Set(failed)).filter((name) => !KNOWN.some((known) => name.includes(known))),
    [],
  );
});
