/**
 * All workers of an agent as one side of a hand-over: what they give together, and how what is taken
 * is spread over them.
 *
 * Whoever asks settles it in the end, and exactly once, or the workers stand still for good.
 */
import { closeSync } from 'node:fs';
import { MeshError } from '#common/errors.ts';
import { readMemoryFile } from '#common/sys/memory-file.ts';
import type { GivenUnit } from './messages.ts';
import type { WorkerHost } from './worker-host.ts';

/** What one worker gives. */
export interface GivenPart {
  /** A descriptor: a file with a line for each unit. */
  readonly memory: number;
  /** Another: what sockets have queued. */
  readonly bytes: number;
  /** Those of all its units, one after the other. */
  readonly descriptors: readonly number[];
}

export interface Giving {
  readonly parts: readonly GivenPart[];
  readonly units: number;
  /** Why something could not be written down; '' when all could. */
  readonly problem: string;
  /** Says whose it is; resolves when the workers go on. */
  readonly settle: (isOurs: boolean) => Promise<void>;
}

export interface Taking {
  readonly units: number;
  /** Why nothing could be taken up; '' when something could. A unit alone that could not is lost. */
  readonly problem: string;
  readonly settle: (isOurs: boolean) => Promise<void>;
}

interface Held {
  readonly host: WorkerHost;
  readonly of: number;
}

export async function giveLive(
  hosts: readonly WorkerHost[],
  podUids: readonly string[],
): Promise<Giving> {
  const replies = await Promise.allSettled(
    hosts.map(async (host) => ({ host, reply: await host.ask({ kind: 'give', podUids }) })),
  );
  const held: Held[] = [];
  const parts: GivenPart[] = [];
  let units = 0;
  let problem = '';
  for (const result of replies) {
    // A worker that has died has nothing left to give.
    if (result.status === 'rejected' || result.value.reply.kind !== 'giving') continue;
    const { host, reply } = result.value;
    held.push({ host, of: reply.ask });
    const { memory, bytes, descriptors } = reply;
    problem ||= reply.problem;
    if (memory < 0 || bytes < 0) problem ||= 'a memory file cannot be made';
    else parts.push({ memory, bytes, descriptors });
    units += reply.units;
  }
  return { parts, units, problem, settle: async (isOurs) => settle(held, isOurs) };
}

/** Every descriptor is the workers' from here on; the memory files are closed in the end. */
export async function takeLive(
  hosts: readonly WorkerHost[],
  parts: readonly GivenPart[],
): Promise<Taking> {
  try {
    return await takeUnits(hosts, readParts(parts));
  } finally {
    for (const { memory, bytes } of parts) for (const fd of [memory, bytes]) closeSync(fd);
  }
}

async function takeUnits(
  hosts: readonly WorkerHost[],
  units: readonly GivenUnit[],
): Promise<Taking> {
  const shares = spread(units, hosts.length);
  const replies = await Promise.allSettled(
    hosts.map(async (host, n) => ({
      host,
      reply: await host.ask({ kind: 'take', units: shares[n] ?? [] }),
    })),
  );
  const held: Held[] = [];
  let problem = hosts.length === 0 ? 'there is no worker' : '';
  let refused = 0;
  let refusal = '';
  for (const result of replies) {
    if (result.status === 'rejected') problem ||= 'a worker has died';
    else if (result.value.reply.kind === 'taking') {
      const { host, reply } = result.value;
      held.push({ host, of: reply.ask });
      refused += reply.refused;
      refusal ||= reply.problem;
    }
  }
  if (refused > 0 && refused === units.length) problem ||= refusal;
  return { units: units.length, problem, settle: async (isOurs) => settle(held, isOurs) };
}

async function settle(held: readonly Held[], isOurs: boolean): Promise<void> {
  await Promise.allSettled(
    held.map(async ({ host, of }) => host.ask({ kind: 'owner', of, isOurs })),
  );
}

/** All units, or an error and nothing left open. */
function readParts(parts: readonly GivenPart[]): GivenUnit[] {
  try {
    return parts.flatMap(unitsOf);
  } catch (error) {
    for (const fd of parts.flatMap(({ descriptors }) => descriptors)) closeSync(fd);
    throw error;
  }
}

/** Cuts what one worker gave into its units. */
export function unitsOf({ memory, bytes, descriptors }: GivenPart): GivenUnit[] {
  const text = readMemoryFile(memory).toString('utf8');
  let used = 0;
  const units = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const space = line.indexOf(' ');
      const count = Number(line.slice(0, space));
      used += count;
      const own = descriptors.slice(used - count, used);
      return { state: line.slice(space + 1), descriptors: own, bytes };
    });
  if (used === descriptors.length) return units;
  throw new MeshError(
    'HANDOVER_FAILED',
    `Cannot take over: ${descriptors.length} descriptors came for ${used}`,
  );
}

/** Each unit goes to the worker that has got the fewest descriptors so far, the largest first. */
function spread(units: readonly GivenUnit[], workers: number): GivenUnit[][] {
  const shares = Array.from({ length: workers }, () => ({
    load: 0,
    units: new Array<GivenUnit>(),
  }));
  for (const unit of units.toSorted((a, b) => b.descriptors.length - a.descriptors.length)) {
    const [least] = shares.toSorted((a, b) => a.load - b.load);
    least?.units.push(unit);
    if (least !== undefined) least.load += unit.descriptors.length;
  }
  return shares.map((share) => share.units);
}
