/**
 * The node agent, whole: every part, what it is given, and in which order they start and stop.
 *
 * What is captured stays captured when the agent stops, crashes or is replaced: rules are taken away
 * only when the mesh no longer wants a pod. So without an agent, connections of captured pods fail
 * and never pass in clear.
 */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { AdminServer } from '#common/admin.ts';
import { ControlClient } from '#common/control/client.ts';
import type { LogControl, Logger } from '#common/log.ts';
import { Readiness } from '#common/readiness.ts';
import { agentServers } from './agent-servers.ts';
import { Prover } from './capture/proof.ts';
import type { AgentConfig } from './config.ts';
import { DataPlane } from './data/data-plane.ts';
import { stepBack } from './data/precedence.ts';
import type { CertificateStore } from './identity/certificate-store.ts';
import { TrustStore } from './identity/trust-store.ts';
import { MeshState } from './mesh-state.ts';
import { nodeCertificates } from './node-certificates.ts';
import { makeNodePods, type NodePods } from './node-pods.ts';
import { ReadyFile } from './ready-file.ts';
import { readResolvers } from './resolvers.ts';
import { StatusReports } from './status-reports.ts';
import { Succession } from './succession.ts';
import { PolicyVerdicts } from './tcp-metrics.ts';

export interface AgentOptions {
  readonly config: AgentConfig;
  readonly version: string;
  readonly log: Logger;
  readonly logControl: LogControl;
  /** Writes so many lines of the access log, joined. */
  readonly writeAccess: (lines: string, count: number) => void;
  readonly logLinesDropped: () => number;
  /** A successor has taken over, and this agent has drained. */
  readonly onReplaced: () => void | Promise<void>;
  /** Whether the mesh leaves this node with this agent; asked when it is told to end. */
  readonly isLeaving: () => Promise<boolean>;
}

const CLUSTER_DOMAIN = 'cluster.local';

export class Agent {
  readonly #options: AgentOptions;
  readonly #startedAtMs = Date.now();
  readonly #stopped = new AbortController();
  readonly #readiness: Readiness;
  readonly #verdicts = new PolicyVerdicts();
  readonly #mesh: MeshState;
  readonly #trust: TrustStore;
  readonly #certificates: CertificateStore;
  readonly #dataPlane: DataPlane;
  readonly #control: ControlClient;
  readonly #reports: StatusReports;
  readonly #succession: Succession;
  readonly #servers: AdminServer[] = [];
  /** Made when it is known which iptables this node has. */
  #node: NodePods | undefined;
  readonly #readyFile: ReadyFile | undefined;
  #isReplaced = false;
  #stopping: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    const { config, log } = options;
    this.#options = options;
    this.#readiness = new Readiness(log);
    this.#readyFile =
      config.readyFile === ''
        ? undefined
        : new ReadyFile(config.readyFile, () => this.#readiness.missing.length === 0);
    this.#dataPlane = new DataPlane({
      workers: config.workers,
      log,
      snapshot: () => this.#mesh.snapshot(),
      accessLog: { format: config.accessLog, node: config.node },
      onClosed: ({ count, lines, records }) => {
        if (lines !== '') options.writeAccess(lines, count);
        for (const record of records) this.#verdicts.count(record);
      },
      onProbe: (arrival) => void this.#prover.arrived(arrival),
      blockedBy: (name) => this.#readiness.blockedBy(name),
    });
    this.#mesh = new MeshState({
      stateDir: config.stateDir,
      log,
      toWorkers: (packed) => this.#dataPlane.applyUpdate(packed),
      onPods: () => this.#podsChanged(),
    });
    this.#trust = new TrustStore({
      stateDir: config.stateDir,
      controllerCa: config.controllerCa,
      log,
    });
    this.#certificates = nodeCertificates({
      runDir: config.runDir,
      log,
      trust: this.#trust,
      dataPlane: this.#dataPlane,
      control: () => this.#control,
    });
    this.#succession = new Succession({
      config,
      log,
      signal: this.#stopped.signal,
      dataPlane: this.#dataPlane,
      save: async () => this.#mesh.stop(),
      onTaking: (isTaking) => this.#node?.rest(isTaking),
      onGiven: () => this.#node?.stop(),
      onReplaced: () => void this.#replaced(),
    });
    this.#control = this.#controlClient();
    this.#reports = new StatusReports({
      control: this.#control,
      startedAtMs: this.#startedAtMs,
      waitingFor: () => this.#readiness.missing,
      pods: () => this.#node?.pods.states() ?? [],
      proven: () => this.#node?.captures.proven ?? 0,
      connections: () => {
        const { inboundOpen, outboundOpen } = this.#dataPlane.totals();
        return inboundOpen + outboundOpen;
      },
    });
  }

  readonly #prover = new Prover({
    expect: async (token) => this.#dataPlane.expectProbe(token),
    forget: (token) => this.#dataPlane.forgetProbe(token),
  });

  async start(): Promise<void> {
    const { config, log } = this.#options;
    const hasState = this.#readiness.blockedBy('first state of the mesh');
    this.#readyFile?.start();
    const hasPods = this.#readiness.blockedBy('capture of the pods that are here');
    await this.#succession.begin();
    const node = await this.#makeNodePods();
    this.#node = node;
    await node.prepare();
    // Before the certificates: what is put in force goes to the workers that there are.
    this.#dataPlane.start();
    stepBack();
    await this.#certificates.restore();
    node.start();
    this.#mesh.restore();
    await this.#control.start();
    this.#reports.start();
    await this.#serve(node);
    void this.#becomeReady(node, () => {
      hasState();
      hasPods();
      node.settled();
    });
    log.info('node agent started', {
      node: config.node,
      workers: config.workers,
      pid: process.pid,
    });
  }

  /** As `stop`; before that finds out whether anything of the mesh is to stay on this node. */
  async end(): Promise<void> {
    const isLeaving = !this.#isReplaced && (await this.#options.isLeaving());
    await this.stop(isLeaving);
  }

  /** Takes nothing new and lets connections end, for as long as the configuration says; then ends. */
  async stop(isLeaving = false): Promise<void> {
    this.#stopping ??= this.#stopOnce(isLeaving);
    await this.#stopping;
  }

  async #stopOnce(isLeaving: boolean): Promise<void> {
    this.#stopped.abort(new Error('the agent is stopping'));
    const { config, log } = this.#options;
    if (!this.#isReplaced) this.#readyFile?.stop();
    await this.#succession.stop();
    await Promise.all(this.#servers.map(async (server) => server.stop()));
    this.#node?.stop();
    this.#reports.stop();
    await this.#control.stop();
    this.#certificates.stop();
    if (!this.#isReplaced) await this.#mesh.stop();
    if (isLeaving) await this.#node?.leave();
    await this.#dataPlane.drain(config.drainMs);
    await this.#dataPlane.stop();
    log.info('node agent stopped', { node: config.node });
  }

  async #makeNodePods(): Promise<NodePods> {
    const { config, log } = this.#options;
    return makeNodePods({
      config,
      log,
      view: this.#mesh.view,
      dataPlane: this.#dataPlane,
      prover: this.#prover,
      dns: { resolvers: await readResolvers(config.resolvConf), clusterDomain: CLUSTER_DOMAIN },
      succession: this.#succession,
      onState: (state) => this.#reports.proof(state),
      onFound: () => this.#podsChanged(),
      onLeft: () => this.#wantCertificates(),
    });
  }

  async #becomeReady({ pods }: NodePods, ready: () => void): Promise<void> {
    const { first } = this.#mesh;
    await this.#succession.complete({
      first,
      settled: first.then(async () => pods.settled()),
      isKnown: (podUid) => pods.wanted().has(podUid),
    });
    if (this.#stopped.signal.aborted) return;
    ready();
    this.#reports.now();
  }

  async #replaced(): Promise<void> {
    this.#isReplaced = true;
    await this.stop();
    await this.#options.onReplaced();
  }

  #podsChanged(): void {
    // Of pods that are found before anything is known of the mesh, the first state will speak.
    if (this.#node === undefined || !this.#mesh.hasState) return;
    const pods = [...this.#mesh.view.pods.values()];
    this.#wantCertificates();
    this.#reports.pods(pods);
    this.#node.apply(pods);
  }

  /** A pod that leaves needs its certificate until it has: connections may still come to us. */
  #wantCertificates(): void {
    const journey = this.#node?.journey;
    if (journey === undefined || !this.#mesh.hasState) return;
    const enrolled = [...this.#mesh.view.pods.values()].filter((pod) => pod.enrolled);
    this.#certificates.want(
      new Set([...journey.identities, ...enrolled.map((pod) => journey.identityOf(pod))]),
    );
  }

  #controlClient(): ControlClient {
    const { config, version, log } = this.#options;
    return new ControlClient({
      url: config.controller,
      node: config.node,
      instance: randomUUID(),
      version,
      token: async () => (await readFile(config.tokenFile, 'utf8')).trim(),
      roots: async () => this.#trust.controllerRoots(),
      resume: () => this.#mesh.resume,
      onUpdate: (update, epoch) => this.#mesh.apply(update, epoch),
      onNamespaces: (namespaces) => this.#node?.setNamespaces(namespaces),
      onTrust: async (trust) => {
        await this.#trust.set(trust);
        await this.#certificates.setTrust(trust);
      },
      log,
    });
  }

  async #serve({ captures, pods, cni }: NodePods): Promise<void> {
    const { config } = this.#options;
    this.#servers.push(
      ...agentServers({
        ...this.#options,
        captures,
        pods,
        cni,
        node: config.node,
        runDir: config.runDir,
        hasTestHooks: config.hasTestHooks,
        startedAtMs: this.#startedAtMs,
        clusterDomain: CLUSTER_DOMAIN,
        certificates: this.#certificates,
        dataPlane: this.#dataPlane,
        verdicts: this.#verdicts,
        readiness: this.#readiness,
        mesh: this.#mesh,
        controlState: () => this.#control.state,
      }),
    );
    for (const server of this.#servers) await server.start();
  }
}
