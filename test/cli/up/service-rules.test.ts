/** Service rules for unmeshed pods: one rule for each ready endpoint, each as likely as the others. */
import { test } from 'tap';
import { serviceRules } from '../../../cli/up/service-rules.ts';
import type { Service } from '../../../common/mesh/service.ts';
import type { Workload } from '../../../common/mesh/workload.ts';

const service: Service = {
  key: 'shop/web.shop.svc.cluster.local',
  name: 'web',
  namespace: 'shop',
  hostname: 'web.shop.svc.cluster.local',
  addresses: ['10.32.0.1', 'fd00:32::1', '10.40.0.0/16'],
  ports: [{ name: 'http', port: 80, targetPort: 0, appProtocol: '' }],
  headless: false,
  subjectAltNames: [],
  loadBalancing: { algorithm: 'random', mode: 'any', scopes: [], clientIpAffinitySeconds: 0 },
  publishNotReady: false,
  visibility: 'public',
  canonical: true,
};

function workload(n: number, own: Partial<Workload> = {}): Workload {
  return {
    uid: `Kubernetes//Pod/shop/web-${n}`,
    name: `web-${n}`,
    namespace: 'shop',
    serviceAccount: 'web',
    trustDomain: 'cluster.local',
    addresses: [`10.65.0.${n}`, `fd00:101::${n}`],
    hostname: '',
    node: 'node-a',
    cluster: 'Kubernetes',
    tunnel: 'none',
    hostNetwork: false,
    canonicalName: 'web',
    canonicalRevision: 'v1',
    workloadName: 'web',
    workloadType: 'deployment',
    locality: { region: '', zone: '', subzone: '' },
    weight: 1,
    health: 'ready',
    memberships: [{ service: service.key, ports: [{ servicePort: 80, targetPort: 8080 }] }],
    policies: [],
    ...own,
  };
}

function lines(
  services: readonly Service[],
  workloads: readonly Workload[],
  family: 4 | 6,
): string[] {
  return serviceRules(services, workloads, family)
    .split('\n')
    .filter((line) => line.startsWith('-A'));
}

test('serviceRules() spreads a service over its ready endpoints evenly', async (t) => {
  t.strictSame(lines([service], [workload(11), workload(12), workload(13)], 4), [
    '-A UP_SERVICES -d 10.32.0.1 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.3333333333 -j DNAT --to-destination 10.65.0.11:8080',
    '-A UP_SERVICES -d 10.32.0.1 -p tcp -m tcp --dport 80 -m statistic --mode random --probability 0.5000000000 -j DNAT --to-destination 10.65.0.12:8080',
    '-A UP_SERVICES -d 10.32.0.1 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.65.0.13:8080',
  ]);
});

test('serviceRules() spells IPv6 endpoints in brackets', async (t) => {
  t.strictSame(lines([service], [workload(11)], 6), [
    '-A UP_SERVICES -d fd00:32::1 -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00:101::11]:8080',
  ]);
});

test('serviceRules() leaves out endpoints that are not ready, unless the service asks for them', async (t) => {
  const unready = workload(11, { health: 'not-ready' });
  t.strictSame(lines([service], [unready, workload(12, { health: 'terminating' })], 4), []);
  t.equal(lines([{ ...service, publishNotReady: true }], [unready], 4).length, 1);
});

test('serviceRules() leaves out workloads of other services and ports nobody answers for', async (t) => {
  t.strictSame(lines([service], [workload(11, { memberships: [] })], 4), []);
  const portless = workload(11, { memberships: [{ service: service.key, ports: [] }] });
  t.strictSame(lines([service], [portless], 4), []);
});
