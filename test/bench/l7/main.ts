/**
 * `npm run bench -- l7`: the waypoint beside Envoy, HAProxy and nginx as HTTP/1.1 reverse proxies, one
 * worker each, alternating. Needs root, gcc, and what is to be compared.
 *
 * Flags: --rounds N (5), --seconds S (3), --cases a,b, --subjects a,b, --json FILE, --quick (one round of
 * 1.5 s with 32 connections, for the shape only).
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { figures } from '../load.ts';
import { residentKb } from '../processes.ts';
import { ended, inNamespace, listening } from '../subject.ts';
import { run } from '../world.ts';
import { APP_PORTS, LISTEN_PORT, subjects, type Subject } from './subjects.ts';
import { l7Table, type Sample } from './table.ts';
import { CLIENT, makeWorld, PROXY_ADDRESS, removeWorld, SERVER } from './world.ts';

interface Case {
  readonly name: string;
  readonly connections: number;
  readonly bytes: number;
}

const CASES: readonly Case[] = [1, 32, 256].flatMap((connections) =>
  [0, 1024, 65_536].map((bytes) => ({ name: `c${connections}-b${bytes}`, connections, bytes })),
);
const QUICK = ['c32-b0', 'c32-b1024', 'c32-b65536'];

/** `args` are those behind `l7`. */
export async function benchL7(args: readonly string[]): Promise<void> {
  const { values: flags } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      cases: { type: 'string' },
      subjects: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
    },
  });
  const rounds = flags.quick ? 1 : Number(flags.rounds);
  const seconds = flags.quick ? 1.5 : Number(flags.seconds);
  const names = flags.cases?.split(',') ?? (flags.quick ? QUICK : CASES.map(({ name }) => name));
  const cases = CASES.filter(({ name }) => names.includes(name));
  const wanted = flags.subjects?.split(',');
  const all = subjects().filter((one) => (wanted?.includes(one.name) ?? true) && isThere(one));
  const directory = mkdtempSync('/tmp/plumb-l7-');
  const binary = `${directory}/http-load`;
  run('gcc', '-O2', '-o', binary, fileURLToPath(new URL('http-load.c', import.meta.url)));
  const samples: Sample[] = [];
  try {
    makeWorld();
    const ports = APP_PORTS.join('-');
    const server = inNamespace(SERVER, [binary, 'serve', '-p', ports], `${directory}/server.log`);
    await listening(SERVER, APP_PORTS[0]);
    for (let round = 0; round < rounds; round += 1) {
      for (const subject of all) {
        samples.push(...(await measure(subject, cases, { directory, binary, seconds })));
      }
    }
    await ended(server);
    const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
    const quick = flags.quick ? ' (quick: one short round, for the shape only)' : '';
    console.log(`${machine}; ${rounds} rounds of ${seconds} s${quick}; median (least-most)\n`);
    console.log(l7Table(samples, names, 'plumbline'));
    if (flags.json !== undefined)
      writeFileSync(flags.json, `${JSON.stringify(samples, null, 1)}\n`);
  } finally {
    removeWorld();
    rmSync(directory, { recursive: true });
  }
}

async function measure(
  subject: Subject,
  cases: readonly Case[],
  { directory, binary, seconds }: { directory: string; binary: string; seconds: number },
): Promise<Sample[]> {
  const samples: Sample[] = [];
  const running = await subject.start(directory);
  try {
    for (const { name, connections, bytes } of cases) {
      const words = ['-a', PROXY_ADDRESS, '-p', LISTEN_PORT, '-n', connections, '-s', bytes];
      const more = ['-t', seconds, '-w', 0.7, '-P', running.pid];
      const load = [binary, 'run', ...words, ...more].map(String);
      const printed = execFileSync('ip', ['netns', 'exec', CLIENT, ...load], { encoding: 'utf8' });
      const found = { ...figures(printed), rss_mb: residentKb(running.pid) / 1024 };
      console.error(`${subject.name} ${name} ${JSON.stringify(found)}`);
      samples.push({ case: name, subject: subject.name, figures: found });
    }
  } finally {
    await running.stop();
  }
  return samples;
}

function isThere({ name, missing }: Subject): boolean {
  if (missing !== undefined) console.error(`without ${name}: ${missing}`);
  return missing === undefined;
}
