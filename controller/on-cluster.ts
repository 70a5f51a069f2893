/**
 * A controller on the API server of a cluster: one of several replicas, agents by TokenReview, the CA in
 * a Secret, and all that is written to the API server.
 *
 * What is said of a pod or a node is written by the replica that its agent reports to; all else by the
 * replica that leads. The map of these parts, as controller.ts is that of the program.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { AdminRoute } from '#common/admin.ts';
import { backoffMs } from '#common/backoff.ts';
import type { AgentStatus } from '#common/control/messages.ts';
import type { ProofReport } from '#common/control/reports.ts';
import { hasCode } from '#common/errors.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import type { Metrics } from '#common/metrics.ts';
import { admitBy } from './api/admission.ts';
import type { Backing, MeshParts } from './backing.ts';
import type { CertificateAuthority } from './ca/certificate-authority.ts';
import type { AgentView } from './ca/rotation.ts';
import { givenIn, SecretCaStore } from './ca/secret-store.ts';
import type { KubernetesConfig } from './config.ts';
import { ApiClient, loadKubeConfig } from './kube/api-client.ts';
import { configMapsNamed } from './kube/config-maps.ts';
import type { Judgement } from './kube/judgements.ts';
import { KubernetesSource } from './kube/kubernetes-source.ts';
import { KubeLease } from './kube/lease-store.ts';
import { removeTaint } from './kube/node-taint.ts';
import { writeObjectStatus } from './kube/object-status.ts';
import { KubePodStatus } from './kube/pod-status.ts';
import { reportBoard } from './kube/replica-reports.ts';
import { Reviews } from './kube/reviews.ts';
import { secretAt } from './kube/secrets.ts';
import type { OnChanges } from './kube/source.ts';
import { Chore } from './lead/chore.ts';
import { Leader } from './lead/leader.ts';
import { kindOf, type ModelDiff, type ObjectChange } from './model/diff.ts';
import { accountOf } from './push/agent-token.ts';
import type { PushServer } from './push/push-server.ts';
import { ReviewedTokens } from './push/reviewed-tokens.ts';
import { registerClusterMetrics } from './status/cluster-metrics.ts';
import { Enrolled } from './status/enrolled.ts';
import type { ObjectStatus } from './status/object-conditions.ts';
import { ObjectReports } from './status/object-reports.ts';
import { PodReports } from './status/pod-reports.ts';
import { Replicas } from './status/replicas.ts';
import { registerSourceMetrics } from './status/source-metrics.ts';
import { publishTrust, TRUST_BUNDLE } from './status/trust-bundle.ts';
import { WriteQueue } from './status/write-queue.ts';

const AGENT_ACCOUNT = 'plumbline-node-agent';
const LEASE = 'plumbline-controller';
const CA_SECRET = 'plumbline-ca';
const GIVEN_SECRET = 'cacerts';
const STARTUP_TAINT = 'plumbline.dev/agent-not-ready';
const OUR_GROUP = 'plumbline.dev';
const WRITES_PER_SECOND = 20;
const TRUST_EVERY_MS = 5000;
const REPORT_EVERY_MS = 2000;
const STATUS_EVERY_MS = 1000;
const WARN_EVERY_MS = 30_000;
const RETRY = { firstMs: 500, longestMs: 10_000 };

export class OnCluster implements Backing {
  readonly authenticate;
  readonly admit;
  readonly modelOptions;
  readonly #config: KubernetesConfig;
  readonly #log: Logger;
  readonly #api: ApiClient;
  readonly #leader: Leader;
  readonly #tokens: ReviewedTokens;
  readonly #enrolled: Enrolled;
  readonly #queues: Readonly<Record<'pods' | 'nodes' | 'objects', WriteQueue>>;
  readonly #untaintedFor = new Map<string, number>();
  readonly #judged = new Map<string, Judgement>();
  #push: PushServer | undefined;
  #objects: ObjectReports | undefined;
  #reports: PodReports | undefined;
  #replicas: Replicas | undefined;
  #trust: Chore | undefined;
  #source: KubernetesSource | undefined;

  constructor(config: KubernetesConfig, log: Logger) {
    this.#config = config;
    this.#log = log;
    const { namespace, replica } = config;
    this.modelOptions = { rootNamespace: namespace };
    this.#api = new ApiClient(loadKubeConfig(config.kubeconfig));
    const reviewer = new Reviews(this.#api);
    const account = accountOf(namespace, AGENT_ACCOUNT);
    this.#tokens = new ReviewedTokens({ reviewer, account, log });
    this.authenticate = this.#tokens.authenticate;
    this.admit = admitBy(reviewer);
    this.#leader = new Leader({
      lease: new KubeLease(this.#api, { namespace, name: LEASE }),
      me: replica,
      log,
      onChange: (isLeading) => {
        if (isLeading) this.#objects?.startAfresh();
        this.#trust?.wake();
      },
    });
    const queue = (name: string): WriteQueue =>
      new WriteQueue({ name, log, perSecond: WRITES_PER_SECOND });
    this.#queues = { pods: queue('pods'), nodes: queue('nodes'), objects: queue('objects') };
    this.#enrolled = new Enrolled(namespace);
  }

  caOptions() {
    const { namespace } = this.#config;
    return {
      store: new SecretCaStore(secretAt(this.#api, namespace, CA_SECRET)),
      given: givenIn(secretAt(this.#api, namespace, GIVEN_SECRET)),
      mayWrite: () => this.#leader.isLeading,
      leader: () => this.#leader.holder,
    };
  }

  openCa(ca: CertificateAuthority): Part[] {
    const start = async (): Promise<void> => this.#untilAnswered(async () => ca.start());
    return [{ name: 'ca', start, stop: async () => {} }];
  }

  source(onChanges: OnChanges): Part {
    const source = new KubernetesSource({
      client: this.#api,
      log: this.#log,
      onChanges,
      onJudged: (judgement, isGone) => this.#noteJudged(judgement, isGone),
    });
    this.#source = source;
    return {
      name: 'source',
      start: async () => source.start(),
      stop: async () => source.stop(),
    };
  }

  beside({ ca, model, push, proof, state }: MeshParts): Part[] {
    const log = this.#log;
    const { namespace, replica } = this.#config;
    this.#push = push;
    this.#reports = new PodReports({
      pods: new KubePodStatus(this.#api, replica),
      queue: this.#queues.pods,
      rowsOf: (podUid) => proof.rowsOf(podUid),
    });
    const replicas = new Replicas({
      board: reportBoard(this.#api, namespace),
      me: replica,
      ca,
      agents: () => push.views(),
      changed: () => this.#objects?.changed() ?? [],
      log,
    });
    this.#replicas = replicas;
    const objects = new ObjectReports({
      appliedVersions: () => push.agents.map(({ appliedVersion }) => appliedVersion),
      meshVersion: () => state.version,
      others: () => replicas.others(),
      warningsOf: (id) => {
        const { kind = '', key = '' } = this.#judged.get(id) ?? {};
        return model.warningsOf(kind, key);
      },
      write: (id, status) => this.#putStatus(id, status),
    });
    this.#objects = objects;
    for (const [id, judgement] of this.#judged) objects.judged(id, judgement);
    const mayRun = (): boolean => this.#leader.isLeading;
    this.#trust = new Chore({
      name: 'trust bundle',
      everyMs: TRUST_EVERY_MS,
      mayRun,
      log,
      work: publishTrust({
        configMaps: configMapsNamed(this.#api, { name: TRUST_BUNDLE, owner: namespace }),
        roots: () => ca.trust.roots,
        namespaces: () => this.#enrolled.namespaces,
      }),
    });
    const chore = (name: string, everyMs: number, work: () => void): Chore =>
      new Chore({ name, everyMs, mayRun, log, work: async () => work() });
    return [
      // Who leads has read the cluster and serves agents.
      this.#leader,
      ...Object.values(this.#queues),
      this.#trust,
      new Chore({ name: 'replica report', everyMs: REPORT_EVERY_MS, log, work: replicas.exchange }),
      chore('object status', STATUS_EVERY_MS, () => objects.update()),
      chore('uncaptured pods', WARN_EVERY_MS, () => this.#warn()),
      { name: 'replica', start: async () => {}, stop: async () => this.#leave(replicas) },
    ];
  }

  routes(): AdminRoute[] {
    return [];
  }

  registerMetrics(metrics: Metrics): void {
    registerSourceMetrics(metrics, () => this.#source?.health() ?? []);
    registerClusterMetrics(metrics, {
      leader: this.#leader,
      queues: Object.values(this.#queues),
      pods: () => this.#enrolled.counts(),
      refusedObjects: () =>
        [...this.#judged.values()].filter(({ complaints }) => complaints.length > 0).length,
    });
  }

  otherAgents(): readonly AgentView[] {
    return this.#replicas?.otherAgents() ?? [];
  }

  noteChanges(changes: readonly ObjectChange[], diff: ModelDiff): void {
    this.#enrolled.objects(changes);
    for (const change of changes) {
      if (change.type !== 'set' || change.object.kind !== 'Pod') continue;
      this.#reports?.seen(change.object.podUid, change.object.captured === true);
    }
    const { left, gone } = this.#enrolled.pods(diff, performance.now());
    for (const pod of left) this.#reports?.withdraw(pod);
    for (const podUid of gone) {
      this.#reports?.forget(podUid);
      this.#tokens.forgetPod(podUid);
      this.#push?.dropPod(podUid);
    }
    if (changes.some((change) => kindOf(change) === 'Namespace')) this.#trust?.wake();
  }

  noteTrust(): void {
    this.#trust?.wake();
  }

  noteProof(all: readonly ProofReport[]): void {
    const rows = all.filter(({ podUid }) => this.#enrolled.has(podUid));
    for (const { podUid, outcome } of rows) {
      if (outcome === 'captured') this.#enrolled.proven(podUid, true);
    }
    for (const { podUid, outcome } of rows) {
      if (outcome === 'not-captured') this.#enrolled.proven(podUid, false);
    }
    this.#reports?.take(rows);
  }

  /** Once the agent of a node is ready, pods may be scheduled to it. */
  noteStatus(node: string, { ready, startedAtMs }: AgentStatus): void {
    // Once for each agent process is enough: a node that registers anew starts another.
    if (!ready || this.#untaintedFor.get(node) === startedAtMs) return;
    this.#untaintedFor.set(node, startedAtMs);
    this.#queues.nodes.put(`taint ${node}`, async (signal) => {
      try {
        const isRemoved = await removeTaint(this.#api, { node, key: STARTUP_TAINT }, signal);
        if (isRemoved) this.#log.info('startup taint removed', { node });
      } catch (error) {
        // The next word of the agent asks for it again.
        this.#untaintedFor.delete(node);
        throw error;
      }
    });
  }

  /** Only our own kinds get a status: others belong to whoever made them. */
  #noteJudged(judgement: Judgement, isGone: boolean): void {
    const { resource, key } = judgement;
    if (resource.group !== OUR_GROUP) return;
    const id = `${resource.plural} ${key}`;
    if (isGone) {
      this.#judged.delete(id);
      this.#objects?.gone(id);
      this.#queues.objects.forget(id);
    } else {
      this.#judged.set(id, judgement);
      this.#objects?.judged(id, judgement);
    }
  }

  #putStatus(id: string, status: ObjectStatus): void {
    const judgement = this.#judged.get(id);
    if (judgement === undefined) return;
    const [namespace = '', name = ''] = judgement.key.split('/');
    this.#queues.objects.put(id, async (signal) => {
      if (!this.#leader.isLeading) return;
      await writeObjectStatus(this.#api, judgement.resource, { namespace, name, status }, signal);
    });
  }

  #warn(): void {
    for (const { pod, reason, message } of this.#enrolled.complaints(performance.now())) {
      this.#reports?.warn(pod, reason, message);
    }
  }

  async #leave(replicas: Replicas): Promise<void> {
    await replicas.leave(AbortSignal.timeout(RETRY.firstMs * 4)).catch(() => {});
    this.#api.close();
  }

  /** Tries until the API server has answered: it may come up after us. */
  async #untilAnswered(attempt: () => Promise<void>): Promise<void> {
    for (let failures = 1; ; failures += 1) {
      try {
        await attempt();
        return;
      } catch (error) {
        if (!hasCode(error, 'KUBERNETES_API_FAILED')) throw error;
        const waitMs = Math.round(backoffMs(failures, RETRY, Math.random()));
        this.#log.warn('the API server does not answer yet', { error, waitMs });
        await delay(waitMs);
      }
    }
  }
}
