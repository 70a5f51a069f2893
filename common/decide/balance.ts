/**
 * Which endpoint of a service takes a connection.
 *
 * Ranks are tried from the best to the last, so traffic spills over to the next zone only when this
 * one has nothing left that has not been tried or has not just failed; when all have failed, the
 * failures are forgotten, since a poor endpoint is better than none. A pick costs O(1), or O(log n)
 * with weights, as long as nothing is in the way.
 */
import type { Service, ServicePort } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';
import type { WorkloadTable } from '../mesh/workload-table.ts';
import type { BalanceState } from './balance-state.ts';
import { currentPlan, targetPort } from './plan.ts';
import type { Plan, Rank } from './plan.ts';
import type { Destination, Source } from './route.ts';
import { targetOf } from './target.ts';
import type { Target } from './target.ts';

export { BalanceState } from './balance-state.ts';

/** Draws that may hit an endpoint that is out before all of them are looked at. */
const DRAWS = 4;

/** Prime, and near the golden section of 2^32: strides of it spread turns evenly over weights. */
const STRIDE = 2_654_435_761;

export interface Wanted {
  readonly source: Source;
  readonly destination: Destination;
  readonly service: Service;
  readonly port: ServicePort;
  /** Uids of workloads that did not take this connection. */
  readonly tried: ReadonlySet<string>;
}

/** Picks an endpoint, or says undefined when there is none that may be tried. */
export function pickEndpoint(view: View, state: BalanceState, wanted: Wanted): Target | undefined {
  const plan = currentPlan(view, state, wanted);
  if (plan === undefined) return undefined;
  const table = view.workloadTable;
  const { tried, service, port, destination } = wanted;
  const isTried: IsOut = (row) => tried.size > 0 && tried.has(table.uid(row));
  const isOut: IsOut = (row) =>
    isTried(row) || (state.anyEjected && state.isEjected(table.uid(row)));
  const pick = { table, plan, state, wanted };
  const row = pickRow(pick, isOut) ?? (state.anyEjected ? pickRow(pick, isTried) : undefined);
  if (row === undefined) return undefined;
  return targetOf({
    workload: table.workload(row),
    address: destination.address,
    port: targetPort(table.shape(row), service, port),
    service,
  });
}

type IsOut = (row: number) => boolean;

interface Pick {
  readonly table: WorkloadTable;
  readonly plan: Plan;
  readonly state: BalanceState;
  readonly wanted: Wanted;
}

function pickRow(pick: Pick, isOut: IsOut): number | undefined {
  const { service, port } = pick.wanted;
  const { algorithm, clientIpAffinitySeconds } = service.loadBalancing;
  if (clientIpAffinitySeconds > 0) return keptRow(pick, isOut, clientIpAffinitySeconds);
  for (const rank of pick.plan.ranks) {
    const key = `${service.key} ${port.port} ${rank.score}`;
    const row = pickByAlgorithm[algorithm](rank, pick, { isOut, key });
    if (row !== undefined) return row;
  }
  return undefined;
}

interface How {
  readonly isOut: IsOut;
  readonly key: string;
}

const pickByAlgorithm: Readonly<
  Record<
    Service['loadBalancing']['algorithm'],
    (rank: Rank, pick: Pick, how: How) => number | undefined
  >
> = {
  random: (rank, { state }, { isOut }) => draw(rank, isOut, () => state.random()),
  'round-robin': (rank, { state }, { isOut, key }) =>
    draw(rank, isOut, () => turnShare(state.turn(key), rank)),
  'least-connections': (rank, { state, table }, { isOut }) => {
    const one = draw(rank, isOut, () => state.random());
    if (one === undefined) return undefined;
    const other = draw(
      rank,
      (row) => row === one || isOut(row),
      () => state.random(),
    );
    if (other === undefined) return one;
    return load(table, state, other) < load(table, state, one) ? other : one;
  },
};

/**
 * Open connections of this worker by weight. Draws are by weight already, so two with none must be
 * equal whatever they weigh: else the heavier of any two would have every short connection.
 */
function load(table: WorkloadTable, state: BalanceState, row: number): number {
  return state.openConnections(table.uid(row)) / table.shape(row).weight;
}

/** Turns a count into a share from 0 to below 1 that visits every endpoint by its weight. */
function turnShare(turn: number, rank: Rank): number {
  if (rank.sums === undefined) return (turn % rank.total) / rank.total;
  return (Math.imul(turn, STRIDE) >>> 0) / 2 ** 32;
}

/** Picks a row by a share from 0 to below 1, with odds by weight among those that are not out. */
function draw(rank: Rank, isOut: IsOut, share: () => number): number | undefined {
  for (let i = 0; i < DRAWS; i += 1) {
    const row = rowAt(rank, share());
    if (row !== undefined && !isOut(row)) return row;
  }
  const left: number[] = [];
  const sums: number[] = [];
  let total = 0;
  for (const [i, row] of rank.rows.entries()) {
    if (isOut(row)) continue;
    left.push(row);
    total += weightAt(rank, i);
    sums.push(total);
  }
  const point = share() * total;
  return left[sums.findIndex((sum) => point < sum)] ?? left.at(-1);
}

function weightAt({ sums }: Rank, i: number): number {
  return sums === undefined ? 1 : (sums[i] ?? 0) - (sums[i - 1] ?? 0);
}

function rowAt({ rows, sums, total }: Rank, share: number): number | undefined {
  // Half a grain, or a share of i/n would fall into the place before i by rounding.
  if (sums === undefined) return rows[Math.floor(share * rows.length + 1e-9)];
  const point = share * total;
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (point < (sums[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return rows[low];
}

/**
 * Keeps a client with its endpoint. A client without one gets that with the highest hash of both
 * (rendezvous hashing), so workers that do not talk to each other agree, and so do restarts.
 */
function keptRow(pick: Pick, isOut: IsOut, seconds: number): number | undefined {
  const { table, plan, state, wanted } = pick;
  const client = wanted.source.addresses[0] ?? wanted.source.uid;
  const key = `${wanted.service.key} ${wanted.port.port} ${client}`;
  const uid = state.affinity(key, seconds);
  const kept = uid === undefined ? undefined : table.find(uid);
  if (kept !== undefined && !isOut(kept) && plan.ranks.some(({ rows }) => rows.includes(kept))) {
    return kept;
  }
  for (const rank of plan.ranks) {
    let best: number | undefined;
    let bestScore = -1;
    for (const [i, row] of rank.rows.entries()) {
      if (isOut(row)) continue;
      // The weight as an exponent makes the odds of the highest hash those of the weight.
      const score = hashShare(`${client} ${table.uid(row)}`) ** (1 / weightAt(rank, i));
      if (score > bestScore) [best, bestScore] = [row, score];
    }
    if (best !== undefined) {
      state.keepAffinity(key, table.uid(best), seconds);
      return best;
    }
  }
  return undefined;
}

/** FNV-1a with a finish, as a share from 0 to below 1. */
function hashShare(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
