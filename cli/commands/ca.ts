/**
 * `plumb ca rotate` and `plumb ca status`: the root of the mesh, and its replacement while all goes on.
 *
 * A rotation goes in steps (both roots trusted, then the new one signs, then the old one goes), each
 * of which waits for every agent; this command only starts it and tells how far it has come.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { EXIT_BAD_ANSWER, EXIT_OK } from '../exit-codes.ts';
import { at, listAt, renderTable } from '../text.ts';
import type { MeshClient } from './mesh-client.ts';
import { renderValue } from './output.ts';
import type { Format } from './output.ts';
import type { Answer } from './status.ts';

const LOOK_EVERY_MS = 250;

export interface RotateOptions {
  readonly wait: boolean;
  readonly timeoutMs: number;
  readonly format: Format;
  /** Told of each step as it is reached. */
  readonly print: (line: string) => void;
}

export async function caStatus(client: MeshClient, format: Format): Promise<Answer> {
  return { text: report(await client.controller('/v1/ca'), format), exitCode: EXIT_OK };
}

export async function rotate(client: MeshClient, options: RotateOptions): Promise<Answer> {
  const before = await client.controller('/v1/ca');
  let now = await client.controller('/v1/ca/rotate', 'POST');
  if (!options.wait) return { text: report(now, options.format), exitCode: EXIT_OK };
  const deadline = performance.now() + options.timeoutMs;
  let told = '';
  for (;;) {
    const phase = at(now, 'phase');
    const waiting = listAt(now, 'waitingFor').map(
      (one) => `${at(one, 'node')}: ${at(one, 'reason')}`,
    );
    const line = waiting.length === 0 ? phase : `${phase}, waits for ${waiting.join('; ')}`;
    if (line !== told && options.format === 'table') options.print(line);
    told = line;
    const isDone = phase === 'stable' && at(now, 'authority') !== at(before, 'authority');
    if (isDone) return { text: report(now, options.format), exitCode: EXIT_OK };
    if (performance.now() > deadline) {
      return { text: report(now, options.format), exitCode: EXIT_BAD_ANSWER };
    }
    await delay(LOOK_EVERY_MS);
    now = await client.controller('/v1/ca');
  }
}

function report(ca: unknown, format: Format): string {
  if (format !== 'table') return renderValue(ca, format);
  const signing = at(ca, 'authority');
  return [
    `trust domain ${at(ca, 'trustDomain')}, phase ${at(ca, 'phase')}, generation ${at(ca, 'generation')}\n`,
    renderTable([
      ['ROOT', 'SUBJECT', 'UNTIL', 'SIGNS'],
      ...listAt(ca, 'roots').map((root) => [
        at(root, 'authority').slice(0, 16),
        at(root, 'subject'),
        new Date(Number(at(root, 'notAfterMs'))).toISOString().slice(0, 10),
        at(root, 'authority') === signing ? 'yes' : 'no',
      ]),
    ]),
  ].join('');
}
