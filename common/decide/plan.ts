/**
 * The endpoints of a service port that may be chosen for one kind of source, best rank first.
 *
 * Made once and used for every connection until an endpoint or the service changes, so that a pick
 * costs the same for ten endpoints as for ten thousand. Rows are only good while the plan is current.
 */
import type { Place } from '../mesh/packed-form.ts';
import type { Service, ServicePort } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';
import type { Backing, Shape, WorkloadTable } from '../mesh/workload-table.ts';
import type { BalanceState } from './balance-state.ts';
import type { Source } from './route.ts';

/** What of a source may matter to the choice of an endpoint. */
export type Standpoint = Pick<Source, 'node' | 'cluster' | 'locality'>;

export interface Rank {
  /** How many scopes in a row these endpoints share with the source. */
  readonly score: number;
  readonly rows: Int32Array;
  /** Sums of weights up to and with each row; undefined when all weigh the same. */
  readonly sums: Float64Array | undefined;
  readonly total: number;
}

export interface Plan {
  readonly ranks: readonly Rank[];
  readonly service: Service;
  readonly backing: Backing;
  readonly generation: number;
}

/** Returns the plan from `state` if it is current, else a new one; undefined without endpoints. */
export function currentPlan(
  view: View,
  state: BalanceState,
  want: { readonly service: Service; readonly port: ServicePort; readonly source: Standpoint },
): Plan | undefined {
  const { service, port, source } = want;
  const backing = view.workloadTable.backing(service.key);
  if (backing === undefined) return undefined;
  const key = planKey(service, port, source);
  const old = state.plan(key);
  if (
    old?.backing === backing &&
    old.generation === backing.generation &&
    old.service === service
  ) {
    return old;
  }
  const ranks = ranksOf(view.workloadTable, backing, want);
  const plan: Plan = { ranks, service, backing, generation: backing.generation };
  state.keepPlan(key, plan);
  return plan;
}

/** Says why a row may not be chosen for a service port, or '' when it may. */
export function whyNot(
  table: WorkloadTable,
  row: number,
  to: { readonly service: Service; readonly port: ServicePort },
): string {
  const shape = table.shape(row);
  if (shape.weight === 0) return 'its weight is 0';
  if (targetPort(shape, to.service, to.port) === 0) return `it does not serve port ${to.port.port}`;
  if (!table.hasAddress(row) && shape.hostname === '') return 'it has no address';
  const health = table.health(row);
  if (health === 'terminating') return 'it is terminating';
  if (health === 'not-ready' && !to.service.publishNotReady) return 'it is not ready';
  return '';
}

/** Returns the port at which workloads of this shape answer for a service port; 0 for none. */
export function targetPort(
  shape: Pick<Shape, 'memberships'>,
  service: Service,
  port: ServicePort,
): number {
  const membership = shape.memberships.find((one) => one.service === service.key);
  const mapped = membership?.ports.find(({ servicePort }) => servicePort === port.port);
  return mapped?.targetPort ?? port.targetPort;
}

/** Counts the scopes, from the first, in which a place matches a standpoint. */
export function localityScore(service: Service, place: Place, source: Standpoint): number {
  const { scopes } = service.loadBalancing;
  const miss = scopes.findIndex((scope) => !matches(scope, place, source));
  return miss === -1 ? scopes.length : miss;
}

function matches(
  scope: Service['loadBalancing']['scopes'][number],
  place: Place,
  source: Standpoint,
): boolean {
  if (scope === 'node' || scope === 'cluster') return place[scope] === source[scope];
  return place.locality[scope] === source.locality[scope];
}

function planKey(
  service: Service,
  port: ServicePort,
  { node, cluster, locality }: Standpoint,
): string {
  const { mode, scopes } = service.loadBalancing;
  const where =
    mode === 'any' || scopes.length === 0
      ? []
      : [node, cluster, locality.region, locality.zone, locality.subzone];
  return [service.key, port.port, ...where].join('\n');
}

function ranksOf(
  table: WorkloadTable,
  backing: Backing,
  want: { readonly service: Service; readonly port: ServicePort; readonly source: Standpoint },
): Rank[] {
  const { service, source } = want;
  const { mode, scopes } = service.loadBalancing;
  const byScore = new Map<number, { rows: number[]; weights: number[] }>();
  const scoreOf = new Map<Place, number>();
  for (const shape of backing.shapes) {
    for (const row of table.rowsOf(shape)) {
      if (whyNot(table, row, want) !== '') continue;
      const place = table.place(row);
      const score =
        mode === 'any' ? 0 : (scoreOf.get(place) ?? localityScore(service, place, source));
      scoreOf.set(place, score);
      if (mode === 'strict' && score < scopes.length) continue;
      const rank = byScore.get(score) ?? { rows: [], weights: [] };
      byScore.set(score, rank);
      rank.rows.push(row);
      rank.weights.push(shape.weight);
    }
  }
  return Array.from(byScore, ([score, { rows, weights }]) => rankOf(score, rows, weights)).toSorted(
    (a, b) => b.score - a.score,
  );
}

function rankOf(score: number, rows: readonly number[], weights: readonly number[]): Rank {
  const [first] = weights;
  const uniform = weights.every((weight) => weight === first);
  let total = 0;
  const sums = Float64Array.from(weights, (weight) => (total += weight));
  return {
    score,
    rows: Int32Array.from(rows),
    sums: uniform ? undefined : sums,
    total: uniform ? rows.length : total,
  };
}
