/**
 * What the agent answers on its admin port: the world as it sees it, its pods, connections and
 * certificates, and why a connection would go where it goes. Never a key.
 */
import { json, text, type AdminRoute, type Reply, type Request } from '#common/admin.ts';
import { canonicalAddress, parseAddress } from '#common/address.ts';
import { BalanceState } from '#common/decide/balance-state.ts';
import { explainInbound, explainOutbound } from '#common/decide/explain.ts';
import { serviceNamed } from '#common/decide/find-service.ts';
import { parseIdentity } from '#common/identity.ts';
import type { Level, LogControl } from '#common/log.ts';
import type { LocalPod, Workload } from '#common/mesh/workload.ts';
import type { View } from '#common/mesh/view.ts';
import type { CaptureSet } from './capture/capture-set.ts';
import type { DataPlane } from './data/data-plane.ts';
import type { ProfileKind } from './data/profile.ts';
import type { CertificateStore } from './identity/certificate-store.ts';
import type { PodSet } from './pod-set.ts';
import { cpuProfile, heapProfile, profileSeconds } from './profile.ts';

export interface AdminDeps {
  readonly node: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly clusterDomain: string;
  readonly view: View;
  readonly epoch: () => string;
  readonly pods: PodSet;
  readonly captures: CaptureSet;
  readonly certificates: CertificateStore;
  readonly dataPlane: DataPlane;
  readonly logControl: LogControl;
  readonly controlState: () => unknown;
  readonly waitingFor: () => readonly string[];
  readonly hasTestHooks: boolean;
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** Makes the table of the admin server. */
export function adminRoutes(deps: AdminDeps): AdminRoute[] {
  const { view } = deps;
  const get = (path: string, about: string, answer: AdminRoute['answer']): AdminRoute => ({
    method: 'GET',
    path,
    about,
    answer,
  });
  return [
    get('/version', 'this agent, and what it waits for', () => json(summary(deps))),
    get('/config_dump', 'everything below but connections', () => json(dump(deps))),
    get('/workloads', 'workloads that this agent knows', () => json(Array.from(view.workloads()))),
    get('/services', 'services that this agent knows', () => json(Array.from(view.services()))),
    get('/policies', 'policies that this agent knows', () => json(Array.from(view.policies()))),
    get('/certificates', 'certificates in use, without keys', () => json(deps.certificates.list())),
    get('/proof', 'each pod of this node: joined, captured, proven, and why not', () =>
      json(podRows(deps)),
    ),
    get('/connections', 'connections that live now', async () =>
      json(await deps.dataPlane.connections()),
    ),
    get(
      '/explain',
      'pod=NAMESPACE/NAME&to=HOST-OR-IP:PORT: where a connection would go, and why',
      (request) => explain(deps, request),
    ),
    get(
      '/inbound-explain',
      'pod=NAMESPACE/NAME&from=IDENTITY|none&source=IP&port=N: whether policy lets it in, and why',
      (request) => explainPolicy(deps, request),
    ),
    {
      method: 'POST',
      path: '/logging',
      about: 'level=debug|info|warn|error: sets the log level',
      answer: (request) => setLevel(deps.logControl, request),
    },
    get(
      '/debug/cpu-profile',
      'seconds=N, worker=N: a .cpuprofile of the main thread, or of a data worker',
      async (request) => profile(deps, 'cpu', request),
    ),
    get(
      '/debug/heap-profile',
      'seconds=N, worker=N: a sampling .heapprofile of the main thread, or of a data worker',
      async (request) => profile(deps, 'heap', request),
    ),
    ...(deps.hasTestHooks ? testHooks(deps) : []),
  ];
}

/** What breaks something on purpose; there only with the hidden flag `--test-hooks`. */
function testHooks({ dataPlane }: AdminDeps): AdminRoute[] {
  return [
    {
      method: 'POST',
      path: '/test/end-worker',
      about: 'worker=N: ends a data worker as a fault in it would',
      answer: ({ query }) =>
        dataPlane.kill(Number(query.get('worker') ?? NaN))
          ? text('ended\n')
          : text('worker: there is no such data worker\n', 404),
    },
  ];
}

function summary(deps: AdminDeps) {
  const { node, version, startedAtMs, view, captures, pods } = deps;
  const labelled = pods.states().filter(({ enrolled }) => enrolled).length;
  return {
    node,
    version,
    startedAt: new Date(startedAtMs).toISOString(),
    pid: process.pid,
    ready: deps.waitingFor().length === 0,
    waitingFor: deps.waitingFor(),
    epoch: deps.epoch(),
    meshVersion: view.version,
    workerVersion: deps.dataPlane.totals().version,
    control: deps.controlState(),
    sizes: view.sizes(),
    podsLabelled: labelled,
    podsProven: captures.proven,
  };
}

function dump(deps: AdminDeps) {
  return {
    ...summary(deps),
    pods: podRows(deps),
    certificates: deps.certificates.list(),
    services: Array.from(deps.view.services()),
    policies: Array.from(deps.view.policies()),
    workloads: Array.from(deps.view.workloads()),
  };
}

function podRows({ pods, captures }: AdminDeps) {
  return pods.states().map((pod) => ({ ...pod, capture: captures.state(pod.podUid) ?? null }));
}

async function profile(
  { dataPlane }: AdminDeps,
  kind: ProfileKind,
  { query, signal }: Request,
): Promise<Reply> {
  const seconds = profileSeconds(query.get('seconds'));
  const worker = query.get('worker');
  const body =
    worker === null
      ? await (kind === 'cpu' ? cpuProfile : heapProfile)(seconds, signal)
      : await dataPlane.profile(Number(worker), kind, seconds * 1000);
  if (body === undefined) return text(`worker: there is no data worker "${worker}"\n`, 404);
  return { type: 'application/json', body };
}

function setLevel(control: LogControl, { query }: Request): Reply {
  const level = LEVELS.find((one) => one === query.get('level'));
  if (level === undefined) return text(`level: expected one of ${LEVELS.join(', ')}\n`, 400);
  control.level = level;
  return text(`${level}\n`);
}

function explain(deps: AdminDeps, { query }: Request): Reply {
  const { view } = deps;
  const pod = podNamed(view, query.get('pod'));
  if (pod === undefined) return text(`pod: no pod "${query.get('pod') ?? ''}" on this node\n`, 404);
  const destination = destinationOf(deps, pod, query.get('to') ?? '');
  if (typeof destination === 'string') return text(`to: ${destination}\n`, 400);
  const source = view.workload(pod.uid);
  const state = new BalanceState({ now: () => performance.now(), random: Math.random });
  const capture = deps.captures.state(pod.podUid);
  return json({
    pod: `${pod.namespace}/${pod.name}`,
    enrolled: pod.enrolled,
    exemption: pod.exemption,
    proven: capture?.proven ?? false,
    proofReason: capture?.reason ?? 'not captured',
    identity:
      source === undefined
        ? ''
        : `spiffe://${source.trustDomain}/ns/${source.namespace}/sa/${source.serviceAccount}`,
    source: source?.addresses ?? [],
    destination,
    meshVersion: view.version,
    ...explainOutbound(view, state, { source, destination }),
  });
}

function explainPolicy({ view }: AdminDeps, { query }: Request): Reply {
  const pod = podNamed(view, query.get('pod'));
  const workload = pod === undefined ? undefined : view.workload(pod.uid);
  if (pod === undefined || workload === undefined) {
    return text(`pod: no pod "${query.get('pod') ?? ''}" on this node\n`, 404);
  }
  const from = query.get('from') ?? 'none';
  const identity = from === 'none' ? undefined : parseIdentity(from);
  if (from !== 'none' && identity === undefined)
    return text(`from: "${from}" is no SPIFFE identity\n`, 400);
  const source = query.get('source') ?? '';
  if (parseAddress(source) === undefined)
    return text(`source: "${source}" is no IP address\n`, 400);
  const destinationPort = Number(query.get('port'));
  if (!isPort(destinationPort)) return text(`port: "${query.get('port') ?? ''}" is no port\n`, 400);
  const destinationAddress = query.get('address') ?? pod.addresses[0] ?? '';
  const connection = {
    identity,
    sourceAddress: canonicalAddress(source),
    destinationAddress,
    destinationPort,
  };
  return json({
    pod: `${pod.namespace}/${pod.name}`,
    meshVersion: view.version,
    ...explainInbound(view, workload, connection),
  });
}

function podNamed(view: View, name: string | null): LocalPod | undefined {
  return Array.from(view.pods.values()).find((pod) => `${pod.namespace}/${pod.name}` === name);
}

/** Reads `host:port`, `ip:port` or `[v6]:port`; a string says what is wrong with it. */
function destinationOf(
  deps: AdminDeps,
  pod: LocalPod,
  to: string,
): { address: string; port: number } | string {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(to);
  const host = found?.[1] ?? found?.[2] ?? '';
  const port = Number(found?.[3]);
  if (found === null || !isPort(port)) return `expected HOST:PORT or [IPV6]:PORT, found "${to}"`;
  const bytes = parseAddress(host);
  if (bytes !== undefined) return { address: canonicalAddress(host), port };
  const address = resolve(deps, pod, host);
  return address === undefined ? `no service or pod has the name "${host}"` : { address, port };
}

/** The address that a pod gets for a name: services as Kubernetes spells them, then pods. */
function resolve(
  { view, clusterDomain }: AdminDeps,
  pod: LocalPod,
  host: string,
): string | undefined {
  const [name = '', namespace = pod.namespace] = host.split('.');
  const full = `${name}.${namespace}.svc.${clusterDomain}`;
  const service =
    serviceNamed(view, pod.namespace, host) ?? serviceNamed(view, pod.namespace, full);
  if (service?.addresses[0] !== undefined) return service.addresses[0].split('/')[0];
  for (const workload of view.workloads()) {
    if (
      backs(workload, service?.key) ||
      (workload.name === name && workload.namespace === namespace)
    ) {
      return workload.addresses[0];
    }
  }
  return undefined;
}

/** A headless service has no address but those of the workloads behind it. */
function backs({ memberships }: Workload, service: string | undefined): boolean {
  return service !== undefined && memberships.some((one) => one.service === service);
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536;
}
