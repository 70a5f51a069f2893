import { test } from 'tap';
import type { NodeObject } from '../../../controller/model/objects.ts';
import { planPods, type Declarations, type PlannedPod } from '../../../controller/kube/rollout.ts';
import type { DeploymentObject } from '../../../controller/kube/schemas/deployment.ts';
import type { DeclaredPod } from '../../../controller/kube/schemas/kinds.ts';
import type { PodSpec } from '../../../controller/kube/schemas/pod.ts';
import { meta } from '../../helpers/mesh-objects.ts';

function node(name: string, labels: Record<string, string> = {}): NodeObject {
  return { kind: 'Node', meta: meta(name, { namespace: '', labels }) };
}

function spec(command: string, more: Partial<PodSpec> = {}): PodSpec {
  return {
    serviceAccount: 'default',
    nodeName: '',
    nodeSelector: {},
    hostNetwork: false,
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    containers: [
      {
        name: 'main',
        command: [command],
        args: [],
        env: [],
        workingDir: '',
        ports: [],
        readinessProbe: undefined,
        livenessProbe: undefined,
      },
    ],
    ...more,
  };
}

function deployment(
  replicas: number,
  command = 'v1',
  more: Partial<DeploymentObject> = {},
): DeploymentObject {
  return {
    kind: 'Deployment',
    meta: meta('web'),
    replicas,
    strategy: 'RollingUpdate',
    selector: { matchLabels: {}, matchExpressions: [] },
    template: { labels: {}, annotations: {}, spec: spec(command) },
    ...more,
  };
}

function bare(name: string, command = 'v1', more: Partial<PodSpec> = {}): DeclaredPod {
  return { kind: 'Pod', meta: meta(name), spec: spec(command, more) };
}

/** A cluster that does what it is told: pods can be made ready, and those that leave can be ended. */
class Cluster {
  pods: PlannedPod[] = [];
  readonly ready = new Set<string>();
  #uids = 0;

  plan(declared: Partial<Declarations>): void {
    const nodes = [node('n1'), node('n2')];
    this.pods = planPods(
      this.pods,
      { pods: [], deployments: [], nodes, ...declared },
      {
        isReady: (uid) => this.ready.has(uid),
        newUid: () => `uid-${(this.#uids += 1)}`,
        nowMs: 0,
      },
    );
  }

  allReady(): void {
    for (const { podUid } of this.pods) this.ready.add(podUid);
  }

  endLeavers(): void {
    this.pods = this.pods.filter(({ leaving }) => !leaving);
  }

  /** `web-0@n1 v1`, with a minus in front when it is leaving. */
  show(): string[] {
    return this.pods.map(
      ({ leaving, name, node: place, template }) =>
        `${leaving ? '-' : ''}${name}@${place} ${template.spec.containers[0]?.command[0] ?? ''}`,
    );
  }
}

test('planPods() spreads replicas over the nodes and keeps them', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(3)] });
  const wanted = ['web-0@n1 v1', 'web-1@n2 v1', 'web-2@n1 v1'];
  t.strictSame(cluster.show(), wanted);
  const before = cluster.pods;
  cluster.plan({ deployments: [deployment(3)] });
  t.strictSame(cluster.pods, before);
});

test('planPods() goes by nodeName and nodeSelector', async (t) => {
  const cluster = new Cluster();
  cluster.plan({
    nodes: [node('n1'), node('n2'), node('n3', { disk: 'fast' })],
    pods: [
      bare('a', 'v1', { nodeName: 'n2' }),
      bare('b', 'v1', { nodeSelector: { disk: 'fast' } }),
      bare('c', 'v1', { nodeSelector: { 'kubernetes.io/hostname': 'n2' } }),
      bare('d'),
    ],
  });
  t.strictSame(cluster.show(), ['a@n2 v1', 'b@n3 v1', 'c@n2 v1', 'd@n1 v1']);
});

test('planPods() has a new replica ready before an old one goes', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(2)] });
  cluster.allReady();
  const roll = (): string[] => {
    cluster.plan({ deployments: [deployment(2, 'v2')] });
    return cluster.show();
  };
  t.strictSame(roll(), ['web-0@n1 v1', 'web-1@n2 v1', 'web-2@n1 v2'], 'one more');
  t.strictSame(
    roll(),
    ['web-0@n1 v1', 'web-1@n2 v1', 'web-2@n1 v2'],
    'nothing while it is not ready',
  );
  cluster.allReady();
  t.strictSame(roll(), ['-web-0@n1 v1', 'web-1@n2 v1', 'web-2@n1 v2'], 'an old one is let go');
  t.strictSame(
    roll(),
    ['-web-0@n1 v1', 'web-1@n2 v1', 'web-2@n1 v2', 'web-3@n1 v2'],
    'its name is taken until it is gone',
  );
  cluster.endLeavers();
  cluster.allReady();
  t.strictSame(roll(), ['-web-1@n2 v1', 'web-2@n1 v2', 'web-3@n1 v2']);
  cluster.endLeavers();
  t.strictSame(roll(), ['web-2@n1 v2', 'web-3@n1 v2'], 'done');
});

test('planPods() never has fewer ready replicas than wanted during a rollout', async (t) => {
  for (const replicas of [1, 2, 5, 9]) {
    const cluster = new Cluster();
    cluster.plan({ deployments: [deployment(replicas)] });
    cluster.allReady();
    let steps = 0;
    const isDone = (): boolean =>
      cluster.pods.length === replicas && cluster.show().every((pod) => pod.endsWith('v2'));
    while (!isDone() && steps < 100) {
      cluster.plan({ deployments: [deployment(replicas, 'v2')] });
      const staying = cluster.pods.filter(({ leaving }) => !leaving);
      const ready = staying.filter(({ podUid }) => cluster.ready.has(podUid)).length;
      if (ready < replicas) t.fail(`${ready} of ${replicas} ready at step ${steps}`);
      if (staying.length > replicas + Math.ceil(replicas / 4)) t.fail('too many at once');
      const next = staying.find(({ podUid }) => !cluster.ready.has(podUid));
      if (next === undefined) cluster.endLeavers();
      else cluster.ready.add(next.podUid);
      steps += 1;
    }
    t.ok(isDone(), `${replicas} replicas in ${steps} steps`);
  }
});

test('planPods() replaces a rollout that never got ready by the next one', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(1)] });
  cluster.allReady();
  cluster.plan({ deployments: [deployment(1, 'broken')] });
  cluster.plan({ deployments: [deployment(1, 'v3')] });
  t.strictSame(cluster.show(), ['web-0@n1 v1', '-web-1@n2 broken']);
  cluster.endLeavers();
  cluster.plan({ deployments: [deployment(1, 'v3')] });
  t.strictSame(cluster.show(), ['web-0@n1 v1', 'web-1@n2 v3']);
});

test('planPods() ends all old pods first when the strategy is Recreate', async (t) => {
  const cluster = new Cluster();
  const recreate = (command: string): DeploymentObject =>
    deployment(2, command, { strategy: 'Recreate' });
  cluster.plan({ deployments: [recreate('v1')] });
  cluster.allReady();
  cluster.plan({ deployments: [recreate('v2')] });
  t.strictSame(cluster.show(), ['-web-0@n1 v1', '-web-1@n2 v1']);
  cluster.plan({ deployments: [recreate('v2')] });
  t.equal(cluster.pods.length, 2);
  cluster.endLeavers();
  cluster.plan({ deployments: [recreate('v2')] });
  t.strictSame(cluster.show(), ['web-0@n1 v2', 'web-1@n2 v2']);
});

test('planPods() scales down by the unready first, then the last', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(4)] });
  for (const uid of ['uid-1', 'uid-3', 'uid-4']) cluster.ready.add(uid);
  cluster.plan({ deployments: [deployment(2)] });
  t.strictSame(cluster.show(), ['web-0@n1 v1', '-web-1@n2 v1', 'web-2@n1 v1', '-web-3@n2 v1']);
  cluster.plan({ deployments: [deployment(0)] });
  t.ok(cluster.pods.every(({ leaving }) => leaving));
});

test('planPods() ends what nobody declares any more, and what stood on a lost node', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(2)], pods: [bare('db')] });
  cluster.plan({ deployments: [deployment(2)], nodes: [node('n1')] });
  t.strictSame(cluster.show(), ['-db@n1 v1', '-web-0@n2 v1', 'web-1@n1 v1', 'web-2@n1 v1']);
});

test('planPods() changes the labels of a bare pod in place and its spec by a new pod', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ pods: [bare('db')] });
  const labelled = { ...bare('db'), meta: meta('db', { labels: { app: 'db' } }) };
  cluster.plan({ pods: [labelled] });
  t.match(cluster.pods, [{ podUid: 'uid-1', leaving: false, template: { labels: { app: 'db' } } }]);
  cluster.plan({ pods: [bare('db', 'v2')] });
  t.strictSame(cluster.show(), ['-db@n1 v1'], 'the name is still taken');
  cluster.endLeavers();
  cluster.plan({ pods: [bare('db', 'v2')] });
  t.match(cluster.pods, [{ podUid: 'uid-2', leaving: false }]);
});

test('planPods() gives a declared pod its name back from a replica', async (t) => {
  const cluster = new Cluster();
  cluster.plan({ deployments: [deployment(1)] });
  cluster.plan({ deployments: [deployment(1)], pods: [bare('web-0', 'own')] });
  t.strictSame(cluster.show(), ['-web-0@n1 v1', 'web-1@n1 v1']);
  cluster.endLeavers();
  cluster.plan({ deployments: [deployment(1)], pods: [bare('web-0', 'own')] });
  t.strictSame(cluster.show(), ['web-1@n1 v1', 'web-0@n2 own']);
});
