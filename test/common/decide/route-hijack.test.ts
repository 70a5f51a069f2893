/** Addresses that somebody claims who should not have them, and ways around the tunnel to a pod. */
import { test } from 'tap';
import { route } from '#common/decide/route.ts';
import type { Target } from '#common/decide/target.ts';
import { throughTunnel } from '#common/decide/target.ts';
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { balanceRig } from '../../helpers/mesh-balance.ts';
import { backs, balancing, service, viewOf, workload } from '../../helpers/mesh-build.ts';

const POD = '10.64.0.1';
const client = workload('client', { addresses: ['10.64.9.9'] });
const victim = workload('victim', { addresses: [POD], serviceAccount: 'victim' });
const VICTIM = 'spiffe://cluster.local/ns/shop/sa/victim';

/** A ServiceEntry, as the model builds it. */
function entry(name: string, over: Partial<Service>): Service {
  return service(name, { hostname: `${name}.example`, canonical: false, ...over });
}

/** A workload that no agent captures, as a ServiceEntry or an EndpointSlice brings it. */
function written(name: string, over: Partial<Workload>): Workload {
  return workload(name, {
    uid: `Kubernetes/networking.istio.io/ServiceEntry/evil/${name}`,
    tunnel: 'none',
    ...over,
  });
}

function targetOf(services: Service[], workloads: Workload[], address: string): Target | string {
  const view = viewOf({ services, workloads: [client, victim, ...workloads] });
  const found = route(view, client, { address, port: 80 });
  if (found.kind !== 'endpoints') return found.kind;
  return found.choose(balanceRig().state, new Set()) ?? 'nobody';
}

test('route() lets no ServiceEntry of another namespace take the address of a pod', async (t) => {
  const evil = entry('evil', { namespace: 'evil', addresses: [POD] });
  const thief = written('thief', { addresses: ['203.0.113.66'], ...backs(evil) });
  t.match(targetOf([evil], [thief], POD), { address: POD, tunnel: 'hbone', expected: [VICTIM] });
  const open = entry('open', {
    namespace: 'evil',
    addresses: [POD],
    loadBalancing: { ...balancing, mode: 'passthrough' },
  });
  t.match(targetOf([open], [], POD), { address: POD, tunnel: 'hbone', expected: [VICTIM] });
  const own = entry('own', { namespace: 'shop', addresses: [POD] });
  const mine = written('mine', { addresses: ['203.0.113.7'], ...backs(own) });
  t.match(targetOf([own], [mine], POD), { address: '203.0.113.7' }, 'the own namespace may');
});

test('route() never passes to a pod of the mesh in clear because of passthrough', async (t) => {
  const open = entry('open', {
    addresses: [POD, '203.0.113.1'],
    loadBalancing: { ...balancing, mode: 'passthrough' },
  });
  t.match(targetOf([open], [], POD), { tunnel: 'hbone', expected: [VICTIM] });
  t.equal(targetOf([open], [], '203.0.113.1'), 'direct', 'what is no pod passes');
});

test('route() takes the tunnel to an endpoint written by hand that is a pod', async (t) => {
  const front = entry('front', { addresses: ['240.0.0.1'] });
  const hand = written('hand', { addresses: [POD], ...backs(front) });
  t.match(targetOf([front], [hand], '240.0.0.1'), {
    address: POD,
    port: 8080,
    tunnel: 'hbone',
    expected: [VICTIM],
    workload: { uid: hand.uid },
  });
  const outside = written('outside', { addresses: ['203.0.113.9'], ...backs(front) });
  t.match(targetOf([front], [outside], '240.0.0.1'), { tunnel: 'none', expected: [] });
});

test('throughTunnel() does so for a name that resolves to a pod', async (t) => {
  const front = entry('front', { addresses: ['240.0.0.1'] });
  const named = written('named', { hostname: 'front.example', ...backs(front) });
  const view = viewOf({ services: [front], workloads: [client, victim, named] });
  const found = route(view, client, { address: '240.0.0.1', port: 80 });
  const picked =
    found.kind === 'endpoints' ? found.choose(balanceRig().state, new Set()) : undefined;
  if (picked === undefined) throw new Error('nobody was picked');
  t.match(picked, { address: '', hostname: 'front.example', tunnel: 'none' });
  t.match(throughTunnel(view, picked, POD), { tunnel: 'hbone', expected: [VICTIM] });
  t.equal(throughTunnel(view, picked, '203.0.113.5'), picked);
});
