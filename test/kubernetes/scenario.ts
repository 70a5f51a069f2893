/**
 * What a scenario works with: a namespace of its own, with programs of test/kubernetes/pods as Deployments.
 *
 * The namespace and all that is in it is gone when the test ends, however it ends.
 */
import { readdirSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { apply, eventually, get, kubectl, onNode, rolledOut } from './cluster.ts';

export const NODE_IMAGE = 'testbed.local/node:26';
const PODS = new URL('pods/', import.meta.url);

export interface Workload {
  /** The program, a file of test/kubernetes/pods, and its arguments. */
  readonly run: readonly [string, ...string[]];
  readonly node?: string;
  readonly replicas?: number;
  /** The service account; made too. The name of the workload if left out. */
  readonly account?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of a Service with the name of the workload; none if left out. */
  readonly ports?: readonly { readonly name: string; readonly port: number }[];
  readonly container?: Readonly<Record<string, unknown>>;
  readonly pod?: Readonly<Record<string, unknown>>;
  readonly strategy?: Readonly<Record<string, unknown>>;
}

export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: { readonly nodeName?: string };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly ready: boolean;
      readonly containerID?: string;
      readonly restartCount: number;
    }[];
  };
}

let asked = 0;

export class Scenario {
  readonly namespace: string;

  private constructor(namespace: string) {
    this.namespace = namespace;
  }

  static async start(
    t: Test,
    namespace: string,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<Scenario> {
    t.after(async () =>
      kubectl('delete', 'namespace', namespace, '--ignore-not-found', '--timeout=180s'),
    );
    const files = readdirSync(PODS).map((file) => [
      file,
      readFileSync(new URL(file, PODS), 'utf8'),
    ]);
    await apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'pods', namespace },
        data: Object.fromEntries(files),
      },
    );
    return new Scenario(namespace);
  }

  /** Deploys and waits until it is rolled out. */
  async deploy(name: string, workload: Workload): Promise<void> {
    await apply(...this.objects(name, workload));
    await rolledOut(this.namespace, `deployment/${name}`);
  }

  objects(name: string, workload: Workload): object[] {
    const { namespace } = this;
    const metadata = { name, namespace };
    const account = workload.account ?? name;
    const [file, ...args] = workload.run;
    const template = {
      metadata: {
        labels: { app: name, ...workload.labels },
        annotations: { ...workload.annotations },
      },
      spec: {
        serviceAccountName: account,
        terminationGracePeriodSeconds: 3,
        ...(workload.node !== undefined && {
          nodeSelector: { 'kubernetes.io/hostname': workload.node },
        }),
        ...workload.pod,
        containers: [
          {
            name: 'main',
            image: NODE_IMAGE,
            command: ['node', `/pods/${file}`, ...args],
            env: [
              { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
            ],
            volumeMounts: [{ name: 'pods', mountPath: '/pods' }],
            ...workload.container,
          },
        ],
        volumes: [{ name: 'pods', configMap: { name: 'pods' } }],
      },
    };
    const selector = { matchLabels: { app: name } };
    return [
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace } },
      ...(workload.ports === undefined
        ? []
        : [
            {
              apiVersion: 'v1',
              kind: 'Service',
              metadata,
              spec: { selector: { app: name }, ports: workload.ports },
            },
          ]),
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata,
        spec: {
          replicas: workload.replicas ?? 1,
          selector,
          template,
          ...(workload.strategy !== undefined && { strategy: workload.strategy }),
        },
      },
    ];
  }

  /** Pods of a workload that are not on their way out. */
  async pods(name: string): Promise<readonly Pod[]> {
    return pods(this.namespace, `app=${name}`);
  }

  /** The one pod of a workload. */
  async pod(name: string): Promise<Pod> {
    const [pod, ...others] = await this.pods(name);
    if (pod === undefined || others.length > 0)
      throw new Error(`${name} has ${others.length + (pod === undefined ? 0 : 1)} pods, not 1`);
    return pod;
  }

  async exec(name: string, ...command: readonly string[]): Promise<string> {
    return kubectl('-n', this.namespace, 'exec', `deployment/${name}`, '--', ...command);
  }

  /** One line of what a server said to a workload: see pods/ask.ts. */
  async ask(name: string, url: string): Promise<Answer> {
    const said: Answer = JSON.parse(await this.exec(name, 'node', '/pods/ask.ts', url));
    return said;
  }

  /** The same without the API server: a process in the container, started on its node. */
  async askOnNode(pod: Pod, url: string): Promise<Answer> {
    const id = pod.status.containerStatuses?.[0]?.containerID?.replace('containerd://', '') ?? '';
    const into = ['ctr', '-n', 'k8s.io', 'task', 'exec', '--exec-id', `ask-${(asked += 1)}`, id];
    const text = await onNode(pod.spec.nodeName ?? '', ...into, 'node', '/pods/ask.ts', url);
    const said: Answer = JSON.parse(text);
    return said;
  }

  async logs(name: string): Promise<string> {
    return kubectl('-n', this.namespace, 'logs', `deployment/${name}`, '--tail=-1');
  }

  /** What the load of a workload has counted until now: see pods/load.ts. */
  async load(name: string): Promise<Load> {
    const pod = await this.pod(name);
    return eventually(`${name} says what it has counted`, async () => {
      const text = await kubectl('-n', this.namespace, 'logs', pod.metadata.name, '--tail=1');
      const count: Load = JSON.parse(text);
      return count;
    });
  }

  /** Waits until the load has made so many more requests than now. */
  async loadGoesOn(name: string, requests = 20): Promise<Load> {
    const before = await this.load(name);
    return eventually(`${requests} more requests of ${name}`, async () => {
      const now = await this.load(name);
      if (now.ok < before.ok + requests) throw new Error(JSON.stringify(now));
      return now;
    });
  }
}

export interface Answer {
  /** The server: its pod and node. */
  readonly pod: string;
  readonly node: string;
  /** The client, as the server saw it. */
  readonly from: string;
}

export interface Load {
  readonly ok: number;
  readonly failed: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** How often a connection that is kept was lost. */
  readonly broken: number;
  /** The longest that a request took, in milliseconds. */
  readonly slowest: number;
}

/** Pods that match a selector and are not on their way out. */
export async function pods(namespace: string, selector: string): Promise<readonly Pod[]> {
  const query = new URLSearchParams({ labelSelector: selector });
  const { items } = await get<{ readonly items: readonly Pod[] }>(
    `/api/v1/namespaces/${namespace}/pods?${query.toString()}`,
  );
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}
