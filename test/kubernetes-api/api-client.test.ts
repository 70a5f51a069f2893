/** The door to the API server, against a real one. */
import { test, type Test } from 'tap';
import { loadKubeConfig, statusOf, type ApiClient } from '../../controller/kube/api-client.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { findPrograms, KubeStore, NAMESPACES, type ApiServer } from '../helpers/api-server.ts';
import { eventually } from '../helpers/program.ts';

const CONFIG_MAPS: Resource = { group: '', version: 'v1', plural: 'configmaps' };
const programs = findPrograms();

async function setUp(t: Test): Promise<{ server: ApiServer; client: ApiClient }> {
  if (programs === undefined) throw new Error('no programs');
  const store = await KubeStore.start(programs);
  t.teardown(async () => store.stop());
  const server = await store.serve();
  const client = server.client();
  t.teardown(() => client.close());
  return { server, client };
}

function configMap(name: string, data: Record<string, string>): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
}

test('the API client', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const { server, client } = await setUp(suite);
  const at = (name: string) => ({ namespace: 'default', name });

  await suite.test(
    'creates, reads, replaces, patches, applies and deletes an object',
    async (t) => {
      await client.create(CONFIG_MAPS, 'default', configMap('one', { a: '1' }));
      const one = await client.get<Record<string, any>>(CONFIG_MAPS, at('one'));
      t.strictSame(one?.['data'], { a: '1' });
      await client.replace(CONFIG_MAPS, at('one'), { ...one, data: { a: '2' } });
      await t.rejects(client.replace(CONFIG_MAPS, at('one'), { ...one, data: { a: '3' } }), {
        code: 'KUBERNETES_API_FAILED',
        details: { status: 409, reason: 'Conflict' },
      });
      await client.patch(CONFIG_MAPS, at('one'), { kind: 'merge', body: { data: { b: '1' } } });
      await client.apply(CONFIG_MAPS, at('one'), configMap('one', { c: '1' }));
      const now = await client.get<Record<string, any>>(CONFIG_MAPS, at('one'));
      t.strictSame(now?.['data'], { a: '2', b: '1', c: '1' });
      t.equal(await client.delete(CONFIG_MAPS, at('one')), true);
      t.equal(await client.delete(CONFIG_MAPS, at('one')), false);
      t.equal(await client.get(CONFIG_MAPS, at('one')), undefined);
    },
  );

  await suite.test('lists in pages that together hold each object once', async (t) => {
    for (let i = 0; i < 7; i += 1) {
      await client.create(CONFIG_MAPS, 'default', configMap(`page-${i}`, {}));
    }
    const names: string[] = [];
    let [pages, next] = [0, ''];
    do {
      const page = await client.list(CONFIG_MAPS, { namespace: 'default', limit: 3, next });
      t.ok(page.items.length <= 3);
      names.push(...page.items.map((item: any) => item.metadata.name));
      next = page.next;
      pages += 1;
    } while (next !== '');
    t.equal(pages, 3);
    t.equal(new Set(names).size, names.length);
    t.equal(names.filter((name) => name.startsWith('page-')).length, 7);
  });

  await suite.test('says what the server said when it refuses', async (t) => {
    const error = await client.create(CONFIG_MAPS, 'nowhere', configMap('x', {})).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    t.equal(statusOf(error), 404);
    t.match(error, { message: /namespaces "nowhere" not found/ });
  });

  await suite.test('watches: events as they come, an end in order, silence as death', async (t) => {
    const seen: string[] = [];
    const onEvents = (events: readonly any[]): void => {
      for (const { type, object } of events) seen.push(`${type} ${object.metadata.name}`);
    };
    const { resourceVersion } = await client.list(NAMESPACES);
    const { signal } = new AbortController();
    const query = { resourceVersion, timeoutSeconds: '3' };
    const watching = client.watch({
      resource: NAMESPACES,
      query,
      silenceMs: 30_000,
      signal,
      onEvents,
    });
    await client.create(NAMESPACES, undefined, { metadata: { name: 'seen' } });
    await watching;
    t.strictSame(seen, ['ADDED seen']);
    await t.rejects(
      client.watch({
        resource: NAMESPACES,
        query: { resourceVersion },
        silenceMs: 1500,
        signal,
        onEvents,
      }),
      { code: 'KUBERNETES_API_FAILED', message: /silent for 1500 ms/ },
    );
  });

  await suite.test(
    'gives up in bounded time on a server that hangs, and works after it',
    async (t) => {
      await server.freeze();
      await t.rejects(client.list(NAMESPACES, { timeoutMs: 500 }), {
        code: 'KUBERNETES_API_FAILED',
        message: /no answer in time/,
        details: { status: 0 },
      });
      server.thaw();
      await eventually('it answers again', async () =>
        client.list(NAMESPACES, { timeoutMs: 2000 }),
      );
    },
  );

  await suite.test('is told with its name what is wrong with a kubeconfig', async (t) => {
    t.throws(() => loadKubeConfig('/nonexistent'), {
      code: 'CONFIG_INVALID',
      message: /kubeconfig "\/nonexistent"/,
    });
    t.doesNotThrow(() => loadKubeConfig(server.kubeconfig));
  });
});
