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
import { findPrograms } from './capture/backend.ts';
import { CaptureSet } from './capture/capture-set.ts';
import { createCommand } from './capture/command.ts';
import { HostRules } from './capture/host-rules.ts';
import { Prover } from './capture/proof.ts';
import type { AgentConfig } from './config.ts';
import { DataPlane } from './data/data-plane.ts';
import { stepBack } from './data/precedence.ts';
import type { CertificateStore } from './identity/certificate-store.ts';
import { TrustStore } from './identity/trust-store.ts';
import { MeshState } from './mesh-state.ts';
import { nodeCertificates } from './node-certificates.ts';
import { PodSet } from './pod-set.ts';
import { PodJourney } from './pod-steps.ts';
import { NetnsDirectory } from './pods/netns.ts';
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
  readonly onReplaced: () => void;
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
  #captures: CaptureSet | undefined;
  #pods: PodSet | undefined;
  #journey: PodJourney | undefined;
  #isReplaced = false;

  constructor(options: AgentOptions) {
    const { config, log } = options;
    this.#options = options;
    this.#readiness = new Readiness(log);
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
      onGiven: () => {
        this.#captures?.stop();
        this.#pods?.stop();
      },
      onReplaced: () => void this.#replaced(),
    });
    this.#control = this.#controlClient();
    this.#reports = new StatusReports({
      control: this.#control,
      startedAtMs: this.#startedAtMs,
      waitingFor: () => this.#readiness.missing,
      pods: () => this.#pods?.states() ?? [],
      proven: () => this.#captures?.proven ?? 0,
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
    const hasPods = this.#readiness.blockedBy('capture of the pods that are here');
    await this.#succession.begin();
    const { hostRules, captures, pods } = await this.#makeCapture();
    await hostRules.start();
    // Before the certificates: what is put in force goes to the workers that there are.
    this.#dataPlane.start();
    stepBack();
    await this.#certificates.restore();
    captures.start();
    this.#mesh.restore();
    await this.#control.start();
    this.#reports.start();
    await this.#serve(captures, pods);
    void this.#becomeReady(pods, () => {
      hasState();
      hasPods();
      void hostRules.prune(pods.wanted()).catch((error: unknown) => {
        log.warn('addresses of former pods are still left to the probes of the node', { error });
      });
    });
    log.info('node agent started', {
      node: config.node,
      workers: config.workers,
      pid: process.pid,
    });
  }

  /** Takes nothing new and lets connections end, for as long as the configuration says; then ends. */
  async stop(): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort(new Error('the agent is stopping'));
    const { config, log } = this.#options;
    await this.#succession.stop();
    await Promise.all(this.#servers.map(async (server) => server.stop()));
    this.#pods?.stop();
    this.#captures?.stop();
    this.#reports.stop();
    await this.#control.stop();
    this.#certificates.stop();
    if (!this.#isReplaced) await this.#mesh.stop();
    await this.#dataPlane.drain(config.drainMs);
    await this.#dataPlane.stop();
    log.info('node agent stopped', { node: config.node });
  }

  async #makeCapture() {
    const { config, log } = this.#options;
    const netnsDirectory = new NetnsDirectory(config.netnsDir);
    const command = createCommand();
    const programs = await findPrograms(command);
    const hostRules = new HostRules({ command, programs, log });
    const captures = new CaptureSet({
      command,
      programs,
      log,
      hostRules,
      prover: this.#prover,
      onState: (state) => this.#reports.proof(state),
    });
    const journey: PodJourney = new PodJourney({
      trustDomain: config.trustDomain,
      netnsDirectory,
      dataPlane: this.#dataPlane,
      captures,
      hostRules,
      dns: { resolvers: await readResolvers(config.resolvConf), clusterDomain: CLUSTER_DOMAIN },
      drainMs: config.drainMs,
      inherited: this.#succession.inherited,
      onLeft: () => this.#wantCertificates(journey),
    });
    const pods = new PodSet(journey, log);
    this.#captures = captures;
    this.#journey = journey;
    this.#pods = pods;
    netnsDirectory.start((found) => {
      for (const podUid of journey.moved(found)) pods.moved(podUid);
    });
    this.#stopped.signal.addEventListener('abort', () => netnsDirectory.stop());
    return { hostRules, captures, pods };
  }

  async #becomeReady(pods: PodSet, ready: () => void): Promise<void> {
    await this.#succession.complete(this.#mesh.first.then(async () => pods.settled()));
    if (this.#stopped.signal.aborted) return;
    ready();
    this.#reports.now();
  }

  async #replaced(): Promise<void> {
    this.#isReplaced = true;
    await this.stop();
    this.#options.onReplaced();
  }

  #podsChanged(): void {
    const pods = [...this.#mesh.view.pods.values()];
    const journey = this.#journey;
    if (journey === undefined || this.#pods === undefined) return;
    this.#wantCertificates(journey);
    this.#reports.pods(pods);
    this.#pods.apply(pods);
  }

  /** A pod that leaves needs its certificate until it has: connections may still come to us. */
  #wantCertificates(journey: PodJourney): void {
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
      onTrust: async (trust) => {
        await this.#trust.set(trust);
        await this.#certificates.setTrust(trust);
      },
      log,
    });
  }

  async #serve(captures: CaptureSet, pods: PodSet): Promise<void> {
    const { config } = this.#options;
    this.#servers.push(
      ...agentServers({
        ...this.#options,
        captures,
        pods,
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
