/** Kinds that come with CRDs, on a real API server: they come later, change their version, and go. */
import { test } from 'tap';
import type { Judgement } from '../../controller/kube/judgements.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { findPrograms, KubeStore, NAMESPACES } from '../helpers/api-server.ts';
import { CRDS, crdBody } from '../helpers/cluster-objects.ts';
import { eventually } from '../helpers/program.ts';
import { follow, until } from '../helpers/source-watch.ts';

const programs = findPrograms();
const skip = programs === undefined && 'the test bed was not built';

const POLICIES: Resource = {
  group: 'plumbline.dev',
  version: 'v1alpha1',
  plural: 'authorizationpolicies',
};

test('kinds of CRDs on a real API server', { skip }, async (suite) => {
  if (programs === undefined) return;
  const store = await KubeStore.start(programs);
  suite.teardown(async () => store.stop());
  const server = await store.serve();
  const client = server.client();
  suite.teardown(() => client.close());
  const makeNamespace = async (name: string): Promise<void> => {
    await client.create(NAMESPACES, undefined, { metadata: { name } });
  };

  await suite.test('reads kinds whose CRDs come later, and empties those that go', async (t) => {
    await makeNamespace('later');
    const judged: [Judgement, boolean][] = [];
    const { source, watch } = await follow(t, server, {
      onJudged: (...one) => judged.push(one),
    });
    const crd = crdBody('plumbline.dev', 'AuthorizationPolicy', 'authorizationpolicies', [
      'v1alpha1',
    ]);
    await client.create(CRDS, undefined, crd);
    const put = async (name: string, spec: object): Promise<void> => {
      const kind = { apiVersion: 'plumbline.dev/v1alpha1', kind: 'AuthorizationPolicy' };
      await eventually('the CRD is established', async () => {
        const body = { ...kind, metadata: { name }, spec };
        await client.apply(POLICIES, { namespace: 'later', name }, body);
      });
    };
    await put('good', { action: 'DENY', rules: [{ to: [{ operation: { ports: ['80'] } }] }] });
    await put('bad', { action: 'DENY', rules: [{ form: [] }] });
    await until('both are read', () => watch.keys('AuthorizationPolicy').length === 2);
    t.match(watch.objects.get('AuthorizationPolicy later/good'), {
      rules: [{ to: [{ ports: ['80'] }] }],
    });
    t.match(watch.objects.get('AuthorizationPolicy later/bad'), {
      action: 'DENY',
      rules: [{ from: undefined, to: undefined, when: undefined }],
    });
    const bad = source.judgements().find(({ key }) => key === 'later/bad');
    t.match(bad, { isReplaced: true, generation: 1 });
    t.match(bad?.complaints, [
      { field: 'spec.rules[0].form', message: /unknown field "form".*did you mean "from"/ },
    ]);
    await put('bad', { action: 'DENY', rules: [{ to: [{ operation: { ports: ['81'] } }] }] });
    await until('it is good now', () => {
      const found = source.judgements().find(({ key }) => key === 'later/bad');
      return found?.generation === 2 && found.complaints.length === 0;
    });
    t.match(judged.at(-1), [{ key: 'later/bad', generation: 2, complaints: [] }, false]);

    await client.delete(CRDS, { name: 'authorizationpolicies.plumbline.dev' });
    await until('none is left', () => watch.keys('AuthorizationPolicy').length === 0);
    await until('the kind is not followed', () =>
      source.health().every(({ resource }) => resource.group !== 'plumbline.dev'),
    );
    t.strictSame(source.judgements(), []);
  });

  await suite.test('goes on with a newer version of a kind, and lets go of nothing', async (t) => {
    await makeNamespace('versions');
    const group = 'security.istio.io';
    const define = async (versions: readonly string[]): Promise<void> => {
      const name = { name: `peerauthentications.${group}` };
      const body = crdBody(group, 'PeerAuthentication', 'peerauthentications', versions);
      await client.apply(CRDS, name, body);
    };
    const put = async (version: string, name: string, mode: string): Promise<void> => {
      const resource = { group, version, plural: 'peerauthentications' };
      const kind = { apiVersion: `${group}/${version}`, kind: 'PeerAuthentication' };
      const body = { ...kind, metadata: { name }, spec: { mtls: { mode } } };
      await eventually('the version is served', async () =>
        client.apply(resource, { namespace: 'versions', name }, body),
      );
    };
    const { watch, health } = await follow(t, server);
    await define(['v1beta1']);
    await put('v1beta1', 'old', 'STRICT');
    await until('it is read', () => watch.objects.has('PeerAuthentication versions/old'));
    const batches = watch.batches.length;
    await define(['v1beta1', 'v1']);
    await until('the newer version is read', () => {
      const { resource, relists } = health('peerauthentications');
      return resource.version === 'v1' && relists > 0;
    });
    await put('v1', 'new', 'DISABLE');
    await until('and watched', () => watch.objects.has('PeerAuthentication versions/new'));
    t.strictSame(
      watch.said(batches).filter((one) => one.includes('PeerAuthentication')),
      ['set PeerAuthentication versions/new'],
    );
    await client.delete(CRDS, { name: `peerauthentications.${group}` });
    await until('none is left', () => watch.keys('PeerAuthentication').length === 0);
  });
});
