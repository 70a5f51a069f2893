/**
 * `npm run bench:scale`: what more of everything costs, with real programs; docs/bench.md has the list.
 *
 * Flags: --only a,b. Each bench prints its table with slopes, and its bars as met or not met.
 */
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { connectionsBench } from './connections.ts';
import { agentsBench } from './agents.ts';
import { certificatesBench, podsBench } from './pods.ts';
import { policiesBench } from './policies.ts';
import { verdict, type Outcome } from './rows.ts';
import { viewBench } from './view.ts';

const BENCHES: Readonly<Record<string, (tell: (line: string) => void) => Promise<Outcome>>> = {
  connections: connectionsBench,
  policies: policiesBench,
  view: viewBench,
  pods: podsBench,
  agents: agentsBench,
  certificates: certificatesBench,
};

const { values: flags } = parseArgs({ options: { only: { type: 'string' } } });
const names = flags.only?.split(',') ?? Object.keys(BENCHES);
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
console.log(`${new Date().toISOString().slice(0, 10)}, ${machine}\n`);
for (const name of names) {
  const bench = BENCHES[name];
  if (bench === undefined)
    throw new Error(`no bench "${name}"; there are ${Object.keys(BENCHES).join(', ')}`);
  const { title, tables, bars } = await bench((line) => console.error(`${name}: ${line}`));
  console.log([`### ${title}`, ...tables, bars.map(verdict).join('\n'), ''].join('\n\n'));
}
