/**
 * What the view and the decisions cost at the size that they are made for: 50,000 workloads, 5,000
 * services, 10,000 policies. Run by hand: `node --expose-gc test/bench/mesh-scale.ts`.
 */
import { authorize } from '#common/decide/authorize.ts';
import type { Connection } from '#common/decide/authorize.ts';
import { route } from '#common/decide/route.ts';
import { identityOf } from '#common/identity.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import type { Policy } from '#common/mesh/policy.ts';
import { View } from '#common/mesh/view.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { balanceRig } from '../helpers/mesh-balance.ts';
import {
  backs,
  delta,
  policy,
  ruleOf,
  service,
  snapshot,
  workload,
} from '../helpers/mesh-build.ts';

const SERVICES = 5000;
const REPLICAS = 10;
const POLICIES = 10_000;

function world(): { workloads: Workload[]; services: Service[]; policies: Policy[] } {
  const services = Array.from({ length: SERVICES }, (_, i) =>
    service(`svc-${i}`, {
      namespace: `team-${i % 200}`,
      addresses: [`10.32.${i >> 8}.${i & 255}`, `fd00:32::${i.toString(16)}`],
    }),
  );
  const workloads = services.flatMap((behind, i) =>
    Array.from({ length: REPLICAS }, (_, n) => {
      const number = i * REPLICAS + n;
      const name = `svc-${i}-7c9fdb6b5d-${number.toString(36).padStart(5, 'x')}`;
      return workload(name, {
        namespace: behind.namespace,
        serviceAccount: behind.name,
        canonicalName: behind.name,
        workloadName: behind.name,
        addresses: [
          `10.${64 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`,
          `fd00:64::${number.toString(16)}`,
        ],
        node: `ip-10-0-${number % 500}.internal`,
        locality: { region: 'eu-central-1', zone: `eu-central-1${'abc'[number % 3]}`, subzone: '' },
        ...backs(behind),
      });
    }),
  );
  return { workloads, services, policies: manyPolicies(POLICIES) };
}

/** Half of them in one namespace, the other half over all. */
function manyPolicies(count: number): Policy[] {
  return Array.from({ length: count }, (_, i) =>
    policy(`allow-${i}`, {
      namespace: i % 2 === 0 ? 'team-0' : `team-${i % 200}`,
      ...ruleOf(
        { serviceAccounts: [`team-${i % 200}/svc-${i}`] },
        { destinationPorts: [{ from: 8080, to: 8080 }] },
      ),
    }),
  );
}

function timed(what: string, times: number, work: (i: number) => void): number {
  for (let i = 0; i < Math.min(times, 20_000); i += 1) work(i);
  const start = performance.now();
  for (let i = 0; i < times; i += 1) work(i);
  const micros = ((performance.now() - start) * 1000) / times;
  console.log(`${what.padEnd(48)} ${micros.toFixed(2).padStart(10)} us`);
  return micros;
}

function once<T>(what: string, work: () => T): T {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const result = work();
  const took = (performance.now() - start).toFixed(1).padStart(10);
  // Both, since the machine may be busy: CPU counts the collector's threads too.
  const { user, system } = process.cpuUsage(cpu);
  console.log(`${what.padEnd(48)} ${took} ms  (CPU ${((user + system) / 1000).toFixed(0)} ms)`);
  return result;
}

const { workloads, services, policies } = world();
const packed = once('pack a snapshot', () =>
  packUpdate(snapshot({ workloads, services, policies })),
);
console.log(`${'its size'.padEnd(48)} ${(packed.length / 1e6).toFixed(2).padStart(10)} MB`);
const justWorkloads = packUpdate(snapshot({ workloads }));
once('apply a snapshot, cold', () => new View().apply(packed));
const view = new View();
once('apply a snapshot, warm', () => view.apply(packed));

const memory = (): number => {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
const before = memory();
const small = new View();
small.apply(justWorkloads);
const perWorkload = (memory() - before) / workloads.length;
console.log(`${'memory a workload, measured'.padEnd(48)} ${perWorkload.toFixed(0).padStart(10)} B`);
const columns = small.workloadTable.bytes / workloads.length;
console.log(`${'of that in columns'.padEnd(48)} ${columns.toFixed(0).padStart(10)} B`);

let version = 2;
timed('pack and apply one endpoint', 5000, (i) => {
  const workloadOf = workloads[i % 2000];
  if (workloadOf === undefined) return;
  view.apply(packUpdate(delta({ workloads: [workloadOf] }, version)));
  version += 1;
});

const client = workloads[0] ?? workload('client');
const { state } = balanceRig();
timed('route to a service and choose', 200_000, (i) => {
  const decided = route(view, client, { address: `10.32.0.${i & 127}`, port: 80 });
  if (decided.kind === 'endpoints') decided.choose(state, new Set());
});
timed('route to a pod and choose', 200_000, (i) => {
  const decided = route(view, client, { address: `10.64.1.${i & 127}`, port: 80 });
  if (decided.kind === 'endpoints') decided.choose(state, new Set());
});

function connectionOf(i: number): Connection {
  return {
    identity: identityOf('cluster.local', `team-${i % 200}`, `svc-${i}`),
    sourceAddress: '10.64.0.9',
    destinationAddress: '10.64.0.1',
    destinationPort: 8080,
  };
}

const ten = new View();
ten.apply(packUpdate(snapshot({ workloads: [client], policies: manyPolicies(10) })));
const cost = (of: View, what: string, port: number): number =>
  timed(what, 100_000, () => authorize(of, client, { ...connectionOf(0), destinationPort: port }));
const allowTen = cost(ten, 'authorize, 10 policies, allowed', 8080);
const allowMany = cost(view, 'authorize, 10,000 policies, allowed', 8080);
cost(ten, 'authorize, 10 policies, refused', 9090);
cost(view, 'authorize, 10,000 policies, refused', 9090);
console.log(
  `${'10,000 policies against 10, allowed'.padEnd(48)} ${(allowMany / allowTen).toFixed(2).padStart(10)} x`,
);
timed('authorize after one policy of 5,000 has changed', 50, (i) => {
  const changed = policies[2 * (i % 100)];
  if (changed === undefined) return;
  view.apply(packUpdate(delta({ policies: [changed] }, version)));
  version += 1;
  authorize(view, client, connectionOf(0));
});
