/**
 * Why a connection goes where it goes, step by step, in the words of those who decide.
 *
 * Nothing is decided here: each step calls the function that the data path calls and shows what it
 * said, so an explanation cannot differ from what happens.
 */
import { formatEndpoint } from '../address.ts';
import type { Service } from '../mesh/service.ts';
import type { View } from '../mesh/view.ts';
import type { Workload } from '../mesh/workload.ts';
import { authorize } from './authorize.ts';
import type { Connection } from './authorize.ts';
import type { BalanceState } from './balance-state.ts';
import { localityScore, whyNot } from './plan.ts';
import { route } from './route.ts';
import type { Destination, Source } from './route.ts';
import type { Target } from './target.ts';

export interface Step {
  readonly step: 'source' | 'route' | 'endpoints' | 'target' | 'policy' | 'audit';
  readonly outcome: 'pass' | 'refuse' | 'note';
  readonly reason: string;
}

export interface Explanation {
  readonly outcome: 'tunnel' | 'plain' | 'direct' | 'refuse';
  readonly steps: readonly Step[];
  /** An endpoint that a connection may get; which one it gets depends on balancing. */
  readonly target: Target | undefined;
}

/** Endpoints that are listed one by one. */
const LISTED_MAX = 20;

/** Explains what becomes of an outbound connection of `source`. */
export function explainOutbound(
  view: View,
  state: BalanceState,
  ask: { readonly source: Workload | undefined; readonly destination: Destination },
): Explanation {
  const { source, destination } = ask;
  const decided = route(view, source, destination);
  const steps: Step[] = source === undefined ? [] : [describeSource(source)];
  if (decided.kind === 'refuse') {
    steps.push({ step: 'route', outcome: 'refuse', reason: `${decided.reason} (${decided.code})` });
    return { outcome: 'refuse', steps, target: undefined };
  }
  steps.push({ step: 'route', outcome: 'pass', reason: decided.reason });
  if (decided.kind === 'direct') return { outcome: 'direct', steps, target: undefined };
  if (decided.service !== undefined && source !== undefined) {
    steps.push(...describeEndpoints(view, { service: decided.service, destination, source }));
  }
  const target = decided.choose(state, new Set());
  if (target === undefined) {
    const reason = 'no endpoint may be chosen (NO_HEALTHY_ENDPOINT)';
    steps.push({ step: 'target', outcome: 'refuse', reason });
    return { outcome: 'refuse', steps, target };
  }
  steps.push({ step: 'target', outcome: 'pass', reason: describeTarget(target) });
  return { outcome: target.tunnel === 'hbone' ? 'tunnel' : 'plain', steps, target };
}

/** Explains what policy says to an inbound connection to `destination`. */
export function explainInbound(
  view: View,
  destination: Workload,
  connection: Connection,
): { readonly outcome: 'allow' | 'refuse'; readonly steps: readonly Step[] } {
  const verdict = authorize(view, destination, connection);
  const near = verdict.nearMiss === '' ? '' : `; nearest: ${verdict.nearMiss}`;
  const steps: Step[] = [
    {
      step: 'source',
      outcome: 'note',
      reason:
        connection.identity === undefined
          ? `${connection.sourceAddress} comes in clear, without an identity`
          : `${connection.sourceAddress} has shown the identity ${connection.identity}`,
    },
    {
      step: 'policy',
      outcome: verdict.allow ? 'pass' : 'refuse',
      reason: `${verdict.reason}${near}`,
    },
    ...verdict.audits.map(({ policy, rule, wouldDeny }): Step => {
      const says = rule === '' ? 'no rule of it matches' : `${rule} matches`;
      const then = wouldDeny ? 'enforced, it would refuse' : 'it would not refuse';
      return { step: 'audit', outcome: 'note', reason: `${policy}: ${says}; ${then}` };
    }),
  ];
  return { outcome: verdict.allow ? 'allow' : 'refuse', steps };
}

function describeSource({ namespace, name, node, locality }: Workload): Step {
  const where = [locality.region, locality.zone, locality.subzone].filter((part) => part !== '');
  const place = where.length > 0 ? ` (${where.join('/')})` : '';
  return {
    step: 'source',
    outcome: 'note',
    reason: `${namespace}/${name} on node ${node}${place}`,
  };
}

function describeEndpoints(
  view: View,
  to: { readonly service: Service; readonly destination: Destination; readonly source: Source },
): Step[] {
  const { service, destination, source } = to;
  const table = view.workloadTable;
  const port = service.ports.find((one) => one.port === destination.port);
  const backing = table.backing(service.key);
  const { algorithm, mode, scopes } = service.loadBalancing;
  const kept = service.loadBalancing.clientIpAffinitySeconds;
  const steps: Step[] = [];
  let [usable, all] = [0, 0];
  for (const shape of backing?.shapes ?? []) {
    for (const row of table.rowsOf(shape)) {
      const score = localityScore(service, table.place(row), source);
      const outside = mode === 'strict' && score < scopes.length ? 'it is out of scope' : '';
      const against = port === undefined ? 'no such port' : whyNot(table, row, { service, port });
      const why = against === '' ? outside : against;
      all += 1;
      if (why === '') usable += 1;
      if (all > LISTED_MAX) continue;
      const near = scopes.length > 0 ? `, matches ${score} of ${scopes.join(', ')}` : '';
      const reason = `${table.uid(row)}: ${why === '' ? 'may be chosen' : why}${near}`;
      steps.push({ step: 'endpoints', outcome: 'note', reason });
    }
  }
  const affinity = kept > 0 ? `, kept for each client address for ${kept} s` : '';
  const reason = `${usable} of ${all} endpoints may be chosen, by ${algorithm}${affinity}, mode ${mode}`;
  return [{ step: 'endpoints', outcome: usable > 0 ? 'pass' : 'refuse', reason }, ...steps];
}

function describeTarget({ workload, address, hostname, port, tunnel, expected }: Target): string {
  const where = formatEndpoint(address === '' ? hostname : address, port);
  const how = tunnel === 'hbone' ? `through a tunnel to ${expected.join(' or ')}` : 'in clear';
  return `${workload.namespace}/${workload.name} at ${where}, ${how}`;
}
