/**
 * A long run on a real mesh of two nodes: load all the time, and one step after another done to it.
 *
 * The agent of node 2 and the controller live through the whole run; that of node 1 is replaced and
 * killed, and its samples are those of all its lives. Ends with what each process held and how it
 * changed, what each step broke, and a verdict.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Mesh } from '../helpers/mesh.ts';
import {
  account,
  documents,
  namespace,
  nodes,
  peerAuthentication,
  pod,
} from '../helpers/mesh-yaml.ts';
import { Ledger, Load } from './load.ts';
import { sample } from './sample.ts';
import { isBack, judge, type Findings, type Sample } from './slope.ts';
import { serve, STEPS, type Stage, type Step } from './steps.ts';

export interface SoakOptions {
  readonly minutes: number;
  /** Hears what happens, for who watches. */
  readonly tell: (line: string) => void;
  readonly after: (undo: () => void | Promise<void>) => void;
}

export interface SoakReport {
  readonly findings: readonly Findings[];
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
  readonly ledger: Ledger;
  readonly steps: ReadonlyMap<string, number>;
  readonly packetsInClear: number;
  /** Sentences; none means that the run holds. */
  readonly failures: readonly string[];
}

const BUSY_EACH = 12;
const SETTLE_MS = 5_000;
/** Tunnels of pods that vanished end when their pings have had no answer. */
const BACK_WITHIN_MS = 45_000;
const MOST_WARM_SECONDS = 600;

const base = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  ...[1, 2].flatMap((node) => [
    pod(`web-${node}`, { node, account: 'web' }),
    pod(`cart-${node}`, { node, account: 'cart' }),
  ]),
  peerAuthentication('strict', { mtls: { mode: 'STRICT' } }),
);

export async function soak({ minutes, tell, after }: SoakOptions): Promise<SoakReport> {
  const mesh = await Mesh.start({ after }, 'meshsok', {
    yaml: base,
    agentFlags: ['--drain', '1s'],
    controllerFlags: ['--leaf-life', '2m', '--rotation-settle', '2s'],
  });
  const stage: Stage = { mesh, base, after };
  await serve(stage);
  const ledger = new Ledger();
  const load = new Load({
    paths: [
      { from: mesh.pod('shop/web-1'), to: mesh.pod('shop/cart-2') },
      { from: mesh.pod('shop/web-2'), to: mesh.pod('shop/cart-1') },
      { from: mesh.pod('shop/web-1'), to: mesh.pod('shop/cart-1') },
    ],
    busy: BUSY_EACH,
    ledger,
  });
  after(() => load.stop());
  await delay(SETTLE_MS);
  const watch = new Watch(mesh);
  const start = await watch.all();
  const runMs = minutes * 60_000;
  const sampling = watch.every(Math.min(10_000, Math.max(1_000, runMs / 100)));
  const failures: string[] = [];
  const steps = new Map<string, number>();
  const deadline = performance.now() + runMs;
  rounds: for (let round = 1; ; round += 1) {
    for (const step of STEPS.filter(({ every }) => round % every === 0)) {
      if (performance.now() > deadline) break rounds;
      await take(step, { stage, round, ledger, failures });
      steps.set(step.name, (steps.get(step.name) ?? 0) + 1);
      tell(`${watch.minute()} round ${round}: ${step.name}, ${ledger.made} new connections`);
    }
  }
  const end = await watch.settled(start);
  await sampling.stop();
  load.stop();
  const warmSeconds = Math.min(MOST_WARM_SECONDS, (runMs / 1000) * 0.25);
  const findings = watch.names.map((name, i) =>
    judge(name, { start: at(start, i), during: watch.during(i), end: at(end, i) }, warmSeconds),
  );
  for (const { process: of, failures: some } of findings)
    failures.push(...some.map((one) => `${of}: ${one}`));
  failures.push(...broken(ledger));
  const packetsInClear = mesh.wire.report().inClear;
  if (packetsInClear > 0) failures.push(`${packetsInClear} packets in clear between the nodes`);
  const samples = Object.fromEntries(watch.names.map((name, i) => [name, watch.during(i)]));
  return { findings, samples, ledger, steps, packetsInClear, failures };
}

interface Round {
  readonly stage: Stage;
  readonly round: number;
  readonly ledger: Ledger;
  readonly failures: string[];
}

async function take(step: Step, { stage, round, ledger, failures }: Round): Promise<void> {
  ledger.cause = step.name;
  try {
    await step.act(stage, round);
  } catch (error) {
    failures.push(`round ${round}, ${step.name}: ${describe(error)}`);
  }
  ledger.cause = 'calm';
}

/** Programs of the mesh and their samples, by name. */
class Watch {
  readonly names = ['controller', 'agent of node 1', 'agent of node 2'];
  readonly #mesh: Mesh;
  readonly #begun = performance.now();
  readonly #samples: Sample[][] = this.names.map(() => []);

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  minute(): string {
    return `${(this.#seconds() / 60).toFixed(1)} min`;
  }

  during(i: number): readonly Sample[] {
    return this.#samples[i] ?? [];
  }

  async all(): Promise<Sample[]> {
    return Promise.all(this.#programs().map(async (one) => sample(one, this.#seconds())));
  }

  /** Waits until what is open is back to `start`, or has had its time. */
  async settled(start: readonly Sample[]): Promise<Sample[]> {
    const deadline = performance.now() + BACK_WITHIN_MS;
    for (;;) {
      await delay(1000);
      const now = await this.all();
      if (start.every((one, i) => isBack(one, at(now, i))) || performance.now() > deadline)
        return now;
    }
  }

  every(ms: number): { stop(): Promise<void> } {
    const stopped = new AbortController();
    const sampling = this.#sampling(ms, stopped.signal);
    return {
      stop: async () => {
        stopped.abort();
        await sampling;
      },
    };
  }

  async #sampling(ms: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await delay(ms, undefined, { signal }).catch(() => undefined);
      for (const [i, program] of this.#programs().entries()) {
        // Who is being replaced, killed or frozen has no answer now.
        const taken = await Promise.race([
          sample(program, this.#seconds()).catch(() => undefined),
          delay(2000, undefined),
        ]);
        if (taken !== undefined && taken.rssMb > 0) this.#samples[i]?.push(taken);
        // The programs' logs are kept for tests; hours of them would fill this process.
        program.lines.length = 0;
      }
    }
  }

  #programs() {
    return [this.#mesh.controller, this.#mesh.agent(1), this.#mesh.agent(2)];
  }

  #seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }
}

/** What broke where nothing may. */
function broken({ byCause, wrongBytes, made }: Ledger): string[] {
  const failures = wrongBytes > 0 ? [`${wrongBytes} connections carried wrong bytes`] : [];
  if (made === 0) failures.push('no new connection was made');
  for (const [cause, { cut, refused, stuck }] of byCause) {
    const step = STEPS.find(({ name }) => name === cause);
    if (cut > 0 && step?.cuts !== true) failures.push(`${cut} connections cut: ${cause}`);
    if (refused > 0 && step?.refuses !== true)
      failures.push(`${refused} new connections refused: ${cause}`);
    if (stuck > 0) failures.push(`${stuck} connections stuck: ${cause}`);
  }
  return failures;
}

function at(samples: readonly Sample[], i: number): Sample {
  const found = samples[i];
  if (found === undefined) throw new RangeError(`no sample ${i}`);
  return found;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}

/** For people: what was done and what it broke. */
export function story({ ledger, steps, packetsInClear }: SoakReport): string {
  const [p50, p99] = ledger.latency();
  const rows = Array.from(steps, ([name, times]) => {
    const { cut = 0, refused = 0, stuck = 0 } = ledger.byCause.get(name) ?? {};
    return `| ${name} | ${times} | ${cut} | ${refused} | ${stuck} |`;
  });
  const calm = ledger.byCause.get('calm') ?? { cut: 0, refused: 0, stuck: 0 };
  return [
    `${ledger.made} new connections, ${(ledger.bytes / 1e9).toFixed(2)} GB compared, ${ledger.wrongBytes} wrong, ` +
      `${packetsInClear} packets in clear; last round trips p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    '',
    '| step | times | connections cut | refused | stuck |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    `| nothing | | ${calm.cut} | ${calm.refused} | ${calm.stuck} |`,
    '',
    ...Array.from(ledger.reasons, ([reason, times]) => `- ${times} × ${reason}`),
  ].join('\n');
}
