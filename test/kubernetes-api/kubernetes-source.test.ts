/** The source against a real API server: first state, live changes, and every way to lose touch. */
import { test } from 'tap';
import { Metrics } from '#common/metrics.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { registerSourceMetrics } from '../../controller/status/source-metrics.ts';
import { findPrograms, KubeStore, NAMESPACES, PODS, SERVICES } from '../helpers/api-server.ts';
import { podBody, running, runPod } from '../helpers/cluster-objects.ts';
import { silent } from '../helpers/silent-log.ts';
import { follow, until } from '../helpers/source-watch.ts';

const programs = findPrograms();
const skip = programs === undefined && 'the test bed was not built';

const SLICES: Resource = { group: 'discovery.k8s.io', version: 'v1', plural: 'endpointslices' };

async function createMany(count: number, make: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await make(i);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

test('the source on a real API server', { skip }, async (suite) => {
  if (programs === undefined) return;
  const store = await KubeStore.start(programs);
  suite.teardown(async () => store.stop());
  const [server, other] = await Promise.all([store.serve(), store.serve()]);
  const client = other.client();
  suite.teardown(() => client.close());
  const makeNamespace = async (name: string): Promise<void> => {
    await client.create(NAMESPACES, undefined, { metadata: { name } });
  };
  const makePod = async (namespace: string, name: string, ip: string): Promise<void> => {
    await client.create(PODS, namespace, podBody(name, { app: name }));
    await runPod(client, namespace, name, running(ip));
  };
  const removePod = async (namespace: string, name: string): Promise<void> => {
    await client.delete(PODS, { namespace, name }, { query: { gracePeriodSeconds: '0' } });
  };

  await suite.test('hands the first state over whole, then each change', async (t) => {
    await makeNamespace('first');
    await makePod('first', 'cart', '10.1.0.1');
    await client.create(SERVICES, 'first', {
      metadata: { name: 'cart' },
      spec: { selector: { app: 'cart' }, ports: [{ port: 80, targetPort: 'http' }] },
    });
    await client.create(SERVICES, 'first', {
      metadata: { name: 'outside' },
      spec: { type: 'ExternalName', externalName: 'example.com' },
    });
    await client.create(SLICES, 'first', {
      metadata: { name: 'cart-1', labels: { 'kubernetes.io/service-name': 'cart' } },
      addressType: 'IPv4',
      ports: [{ name: '', port: 8080, protocol: 'TCP' }],
      endpoints: [
        { addresses: ['10.1.0.1'], targetRef: { kind: 'Pod', name: 'cart', namespace: 'first' } },
      ],
    });
    const labels = { 'plumbline.dev/dataplan-mode': 'ambient' };
    await client.create(NAMESPACES, undefined, { metadata: { name: 'misspelt', labels } });
    const warnings: unknown[] = [];
    const log = { ...silent, warn: (...one: unknown[]) => warnings.push(one) };
    const { watch, source } = await follow(t, server, { log });
    t.match(warnings, [
      [
        'label or annotation means nothing',
        { object: 'Namespace misspelt', warning: /did you mean "plumbline.dev\/dataplane-mode"/ },
      ],
    ]);
    t.equal(watch.batches.length, 1, 'one change');
    const metrics = new Metrics();
    registerSourceMetrics(metrics, () => source.health());
    const text = await metrics.text();
    t.match(text, /^plumbline_source_synced\{kind="pods"\} 1$/m);
    t.match(text, /^plumbline_source_relists_total\{kind="endpointslices.discovery.k8s.io"\} 0$/m);
    t.match(watch.objects.get('Pod first/cart'), {
      addresses: ['10.1.0.1'],
      node: 'n1',
      ready: true,
      phase: 'Running',
      namedPorts: { http: 8080 },
      meta: { labels: { app: 'cart' } },
    });
    t.match(watch.objects.get('Service first/cart'), {
      clusterIps: [/^10\./],
      ports: [{ port: 80, targetPort: 'http' }],
    });
    t.notOk(watch.objects.has('Service first/outside'));
    t.match(watch.objects.get('EndpointSlice first/cart-1'), { endpoints: [{ pod: 'cart' }] });
    t.ok(watch.objects.has('Namespace first'));

    await runPod(client, 'first', 'cart', { conditions: [{ type: 'Ready', status: 'False' }] });
    await until('the pod is not ready', () => {
      const pod = watch.objects.get('Pod first/cart');
      return pod?.kind === 'Pod' && !pod.ready;
    });
    t.strictSame(watch.said(1), ['set Pod first/cart']);
    await client.patch(
      PODS,
      { namespace: 'first', name: 'cart' },
      { kind: 'merge', body: { metadata: { annotations: { other: 'x' } } } },
    );
    await removePod('first', 'cart');
    await until('the pod is gone', () => !watch.objects.has('Pod first/cart'));
    t.strictSame(watch.said(2), ['delete Pod first/cart'], 'an annotation of others is no change');
  });

  await suite.test('notices a server that stands still, and misses nothing', async (t) => {
    await makeNamespace('still');
    const { watch, health } = await follow(t, server, { silenceMs: 2000 });
    await server.freeze();
    t.teardown(() => server.thaw());
    const { restarts } = health('pods');
    await makePod('still', 'late', '10.1.0.2');
    await until('the watch was given up', () => health('pods').restarts > restarts);
    t.ok(health('pods').lagSeconds > 1.5, 'and said how old its knowledge is');
    t.notOk(watch.objects.has('Pod still/late'));
    server.thaw();
    await until('the pod is known', () => {
      const pod = watch.objects.get('Pod still/late');
      return pod?.kind === 'Pod' && pod.addresses[0] === '10.1.0.2';
    });
  });

  await suite.test('learns what it missed after an outage and a compaction', async (t) => {
    await makeNamespace('outage');
    await makePod('outage', 'stays', '10.1.0.3');
    await makePod('outage', 'goes', '10.1.0.4');
    await makePod('outage', 'returns', '10.1.0.5');
    const { watch, health } = await follow(t, server);
    const batches = watch.batches.length;
    const before = watch.objects.get('Pod outage/returns');
    await server.stop();
    await removePod('outage', 'goes');
    await removePod('outage', 'returns');
    await makePod('outage', 'returns', '10.1.0.6');
    await makePod('outage', 'comes', '10.1.0.7');
    await store.compact();
    await server.start();
    await until('it has listed again', () => health('pods').relists > 0);
    await until('the new pod is known', () => watch.objects.has('Pod outage/comes'));
    t.strictSame(
      watch
        .said(batches)
        .filter((one) => one.includes(' Pod '))
        .toSorted(),
      ['delete Pod outage/goes', 'set Pod outage/comes', 'set Pod outage/returns'],
      'differences only',
    );
    const after = watch.objects.get('Pod outage/returns');
    t.ok(before?.kind === 'Pod' && after?.kind === 'Pod' && before.podUid !== after.podUid);
    // And it is watching again.
    await removePod('outage', 'stays');
    await until('a later deletion', () => !watch.objects.has('Pod outage/stays'));
  });

  await suite.test('lists 10,000 objects in pages while they change', async (t) => {
    await makeNamespace('many');
    await createMany(10_000, async (i) =>
      client.create(PODS, 'many', podBody(`p-${i}`, { app: 'many' })),
    );
    const [{ watch, health }] = await Promise.all([
      follow(t, server),
      removePod('many', 'p-9999'),
      removePod('many', 'p-0'),
    ]);
    await until('the removed are gone', () => {
      const { objects } = watch;
      return !objects.has('Pod many/p-9999') && !objects.has('Pod many/p-0');
    });
    t.equal(watch.keys('Pod').filter((key) => key.includes(' many/')).length, 9998);
    t.equal(health('pods').relists, 0);
  });

  await suite.test('waits for a server that is not there yet', async (t) => {
    await server.stop();
    const following = follow(t, server);
    let isStarted = false;
    void following.then(() => (isStarted = true)).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    t.notOk(isStarted);
    await server.start();
    const { watch } = await following;
    t.ok(watch.objects.has('Namespace many'));
  });
});
