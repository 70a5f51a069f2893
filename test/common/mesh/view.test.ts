import { test } from 'tap';
import { packUpdate } from '#common/mesh/pack.ts';
import { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import {
  backs,
  delta,
  localPod,
  policy,
  replicas,
  ruleOf,
  service,
  snapshot,
  strict,
  viewOf,
  workload,
} from '../../helpers/mesh-build.ts';

const cart = service('cart', { addresses: ['10.32.0.1', 'fd00:32::1'] });
const egress = service('egress', { addresses: ['192.0.2.0/24', '2001:db8::/32'] });
const contents = {
  workloads: [
    ...replicas('cart', { count: 3, prefix: '10.64.0.', ...backs(cart), policies: ['a', 'b'] }),
    workload('lone', {
      addresses: ['10.64.1.1', 'fd00:64::1'],
      workloadType: 'pod',
      health: 'not-ready',
      locality: { region: 'r', zone: 'z', subzone: 's' },
      weight: 7,
    }),
    workload('other-name', {
      uid: 'x//WorkloadEntry/shop/vm',
      hostname: 'vm.example',
      name: 'nämé',
    }),
  ],
  services: [cart, egress],
  policies: [
    strict({ scope: 'mesh' }),
    policy('rich', {
      scope: 'selector',
      action: 'audit',
      dryRun: true,
      ...ruleOf({
        namespaces: ['a*'],
        notPrincipals: [],
        sourceIps: ['10.0.0.0/8', 'fd00::/8', '::/0', '0.0.0.0/0', '10.1.2.3'],
        notDestinationPorts: [{ from: 1, to: 65_535 }],
      }),
    }),
  ],
  pods: [localPod(workload('lone', { addresses: ['10.64.1.1'] }))],
};

test('View holds exactly what was packed', async (t) => {
  const view = viewOf(contents);
  const { workloads, ...rest } = view.snapshot();
  const byUid = (a: Workload, b: Workload): number => a.uid.localeCompare(b.uid);
  t.strictSame(workloads.toSorted(byUid), contents.workloads.toSorted(byUid));
  t.strictSame(rest.services, contents.services);
  t.strictSame(rest.policies, contents.policies);
  t.strictSame(rest.pods, contents.pods);
  t.strictSame(view.sizes(), { workloads: 5, services: 2, policies: 2, pods: 1 });
});
