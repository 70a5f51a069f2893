/** The manifests against a real API server: applied in one go and again, what the CRDs take, who may ask what. */
import { test, type Test } from 'tap';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { CASES } from '../helpers/crd-cases.ts';
import { FULL, PLURALS } from '../helpers/crd-full.ts';
import { findPrograms, KubeStore } from '../helpers/api-server.ts';

const programs = findPrograms();
const CONTROLLER = 'system:serviceaccount:plumbline-system:plumbline-controller';
const BUDGET = 'poddisruptionbudget.policy/plumbline-controller';
const inSystem = ['-n', 'plumbline-system'];
const AGENT = 'system:serviceaccount:plumbline-system:plumbline-node-agent';

interface Said {
  readonly code: number;
  readonly text: string;
}

type Kubectl = (args: readonly string[], input?: unknown) => Promise<Said>;

async function setUp(t: Test): Promise<Kubectl> {
  if (programs === undefined) throw new Error('no programs');
  const kubectl = join(dirname(programs.apiserver), 'kubectl');
  const store = await KubeStore.start(programs);
  t.teardown(async () => store.stop());
  const server = await store.serve();
  return async (args, input) => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const call = promisify(execFile)(kubectl, ['--kubeconfig', server.kubeconfig, ...args], {
      env: { ...env, KUBECACHEDIR: join(store.directory, 'kubectl') },
    });
    call.child.stdin?.end(input === undefined ? '' : JSON.stringify(input));
    try {
      const { stdout, stderr } = await call;
      return { code: 0, text: stdout + stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }; // oxlint-disable-line typescript/no-unsafe-type-assertion -- as execFile says
      return { code, text: stdout + stderr };
    }
  };
}

test('the manifests', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const kubectl = await setUp(suite);

  await suite.test('apply in one go, and again without a change', async (t) => {
    const first = await kubectl(['apply', '-f', 'manifests']);
    t.equal(first.code, 0, first.text);
    t.match(first.text, /daemonset\.apps\/plumbline-node-agent created/);
    const second = await kubectl(['apply', '-f', 'manifests']);
    t.equal(second.code, 0, second.text);
    const changed = second.text
      .trim()
      .split('\n')
      .filter((line) => !line.endsWith(' unchanged'));
    // kubectl sends the selector of a budget each time, and says so; the object stays as it was.
    t.strictSame(changed, [`${BUDGET} configured`]);
    const { text } = await kubectl([
      'get',
      ...inSystem,
      BUDGET,
      '-o',
      'jsonpath={.metadata.generation}',
    ]);
    t.equal(text, '1');
    const built = await kubectl(['kustomize', 'manifests']);
    t.equal(built.code, 0, built.text);
    const viaKustomize = await kubectl(['apply', '-k', 'manifests']);
    t.equal(viaKustomize.code, 0, viaKustomize.text);
    const made = viaKustomize.text
      .split('\n')
      .filter((line) => / (created|configured)$/.test(line));
    t.strictSame(made, [`${BUDGET} configured`], 'Kustomization adds nothing');
    const count = (said: Said): number => said.text.trim().split('\n').length;
    t.equal(count(viaKustomize), count(second), 'Kustomization lists every file');
  });

  await suite.test('the example of an overlay changes what it says', async (t) => {
    const { code, text } = await kubectl(['kustomize', 'examples/gitops/overlay']);
    t.equal(code, 0, text);
    t.equal(text.match(/image: registry\.example\/mesh\/plumbline:/g)?.length, 2);
    t.match(text, /- --workers=2/);
    t.notMatch(text, /image: plumbline\.dev/);
  });

  for (const { name, object, server } of CASES) {
    await suite.test(
      `the API server ${server === undefined ? 'takes' : 'refuses'} ${name}`,
      async (t) => {
        const { code, text } = await kubectl(
          ['create', '--dry-run=server', '--validate=strict', '-f', '-'],
          object,
        );
        if (server === undefined) t.equal(code, 0, text);
        else {
          t.not(code, 0);
          t.match(text.replaceAll('\\"', '"'), server);
        }
      },
    );
  }

  await suite.test('an object comes back as it was written, and its status is apart', async (t) => {
    for (const [i, object] of FULL.entries()) {
      const named = { ...object, metadata: { ...object.metadata, name: `full-${i}` } };
      const { code, text } = await kubectl(['create', '--validate=strict', '-f', '-'], named);
      t.equal(code, 0, text);
      const plural = `${PLURALS[object.kind]}.plumbline.dev`;
      const read = await kubectl(['get', plural, `full-${i}`, '-o', 'json']);
      const stored: { spec: unknown; status?: unknown } = JSON.parse(read.text);
      t.strictSame(stored.spec, object.spec);
      const condition = {
        type: 'Accepted',
        status: 'False',
        observedGeneration: 1,
        lastTransitionTime: '2026-01-01T00:00:00Z',
        reason: 'Invalid',
        message: 'spec: nothing',
      };
      const patch = JSON.stringify({ status: { observedGeneration: 1, conditions: [condition] } });
      const at = ['patch', plural, `full-${i}`, '--type=merge', `--patch=${patch}`];
      const patched = await kubectl([...at, '--subresource=status']);
      t.equal(patched.code, 0, patched.text);
      t.match((await kubectl(['get', plural, `full-${i}`])).text, / False +\d+s\n$/);
    }
    const all = await kubectl(['get', 'plumbline', '-A']);
    t.equal(all.text.match(/full-/g)?.length, FULL.length, 'one word lists all kinds');
    t.match((await kubectl(['get', 'pap'])).text, /ACTION/);
  });

  const may = async (who: string, ...what: readonly string[]): Promise<boolean> =>
    (await kubectl(['auth', 'can-i', ...what, `--as=${who}`])).text.split('\n').includes('yes');

  await suite.test('the programs may do what they do, and nothing beside it', async (t) => {
    const allowed: readonly (readonly [string, ...string[]])[] = [
      [CONTROLLER, 'watch', 'pods', '-A'],
      [CONTROLLER, 'watch', 'endpointslices.discovery.k8s.io', '-A'],
      [CONTROLLER, 'watch', 'authorizationpolicies.plumbline.dev', '-A'],
      [CONTROLLER, 'patch', 'authorizationpolicies.plumbline.dev/one', '--subresource=status'],
      [CONTROLLER, 'create', 'tokenreviews.authentication.k8s.io'],
      [CONTROLLER, 'patch', 'configmaps/plumbline-root-cert', '-n', 'default'],
      [CONTROLLER, 'patch', 'pods/one', '--subresource=status'],
      [CONTROLLER, 'update', 'secrets/plumbline-ca', ...inSystem],
      [CONTROLLER, 'get', 'secrets/cacerts', ...inSystem],
      [CONTROLLER, 'update', 'leases.coordination.k8s.io/plumbline-controller', ...inSystem],
      [AGENT, 'watch', 'daemonsets.apps/plumbline-node-agent', ...inSystem],
    ];
    for (const [who, ...what] of allowed) t.ok(await may(who, ...what), `${who} ${what.join(' ')}`);
    const own = await kubectl(['get', 'namespace', 'plumbline-system', `--as=${AGENT}`]);
    t.equal(own.code, 0, own.text);
    t.match((await kubectl(['get', 'namespace', 'default', `--as=${AGENT}`])).text, /forbidden/i);
    const denied: readonly (readonly [string, ...string[]])[] = [
      [CONTROLLER, 'get', 'secrets', '-A'],
      [CONTROLLER, 'list', 'secrets', ...inSystem],
      [CONTROLLER, 'update', 'secrets/cacerts', ...inSystem],
      [CONTROLLER, 'create', 'secrets', '-n', 'default'],
      [CONTROLLER, 'list', 'configmaps', '-A'],
      [CONTROLLER, 'patch', 'configmaps/other', '-n', 'default'],
      [CONTROLLER, 'create', 'pods', ...inSystem],
      [CONTROLLER, 'delete', 'pods', '-A'],
      [CONTROLLER, 'patch', 'authorizationpolicies.plumbline.dev/one'],
      [CONTROLLER, 'create', 'pods', '--subresource=exec'],
      [AGENT, 'list', 'pods', '-A'],
      [AGENT, 'get', 'nodes'],
      [AGENT, 'get', 'secrets', ...inSystem],
      [AGENT, 'watch', 'daemonsets.apps', ...inSystem],
      [AGENT, 'update', 'daemonsets.apps/plumbline-node-agent', ...inSystem],
    ];
    for (const [who, ...what] of denied)
      t.notOk(await may(who, ...what), `${who} ${what.join(' ')}`);
  });

  await suite.test(
    'a ConfigMap of the right name alone may be made in other namespaces',
    async (t) => {
      const write = async (name: string): Promise<Said> =>
        kubectl(['apply', '--server-side', `--as=${CONTROLLER}`, '-f', '-'], {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name, namespace: 'default' },
          data: { 'root-cert.pem': 'x' },
        });
      const made = await write('plumbline-root-cert');
      t.equal(made.code, 0, made.text);
      t.match((await write('other')).text, /forbidden/i);
      const select = '--field-selector=metadata.name=plumbline-root-cert';
      const listed = await kubectl(['get', 'configmaps', '-A', select, `--as=${CONTROLLER}`]);
      t.match(listed.text, /plumbline-root-cert/);
    },
  );

  await suite.test(
    'no object of a kind that they define, and nothing is left of the CRDs',
    async (t) => {
      const kinds = await kubectl(['create', '--dry-run=client', '-f', 'manifests', '-o', 'name']);
      t.notMatch(kinds.text, /^[a-z]+\.plumbline\.dev|gateway/m);
      await kubectl(['delete', '-f', 'manifests', '--wait=false']);
      const left = await kubectl(['get', 'crd', '-o', 'name']);
      t.notMatch(left.text, /plumbline/);
    },
  );
});
