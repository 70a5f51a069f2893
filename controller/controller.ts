/**
 * The controller, whole: source → model → state → agents, with CA, queries and metrics beside it.
 *
 * The map of the program: every part is made here and knows only what it is given.
 */
import { mkdirSync } from 'node:fs';
import { AdminServer, type AdminRoute, type ListenAt } from '#common/admin.ts';
import type { ProofReport } from '#common/control/reports.ts';
import { MeshError } from '#common/errors.ts';
import { Lifecycle, type Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import { Metrics } from '#common/metrics.ts';
import { queryRoutes } from './api/queries.ts';
import { runnerRoutes } from './api/runner.ts';
import { CertificateAuthority } from './ca/certificate-authority.ts';
import { FileCaStore } from './ca/file-store.ts';
import type { ControllerConfig } from './config.ts';
import { DirectorySource } from './kube/directory-source.ts';
import { isEmptyDiff, type ObjectChange } from './model/diff.ts';
import { Model } from './model/model.ts';
import { MeshState } from './push/mesh-state.ts';
import { PushServer } from './push/push-server.ts';
import { TokenFile } from './push/tokens.ts';
import { registerMetrics } from './status/metrics.ts';
import { ProofBoard } from './status/proof-board.ts';

export interface ControllerDeps {
  readonly config: ControllerConfig;
  /** Of this build. */
  readonly version: string;
  readonly log: Logger;
}

/** A world of many objects in one answer. */
const LONGEST_REPORT_BYTES = 8 * 1024 * 1024;

export class Controller {
  readonly #deps: ControllerDeps;
  readonly #model: Model;
  readonly #state: MeshState;
  readonly #ca: CertificateAuthority;
  readonly #push: PushServer;
  readonly #proof: ProofBoard;
  readonly #source: DirectorySource;
  readonly #lifecycle: Lifecycle;
  readonly #startedAtMs = Date.now();

  constructor(deps: ControllerDeps) {
    const { config, version, log } = deps;
    const { trustDomain, source } = config;
    if (source.kind !== 'directory') {
      throw new MeshError(
        'CONFIG_INVALID',
        'Cannot start the controller: --source kubernetes is not served by this build',
      );
    }
    this.#deps = deps;
    for (const directory of [source.stateDir, config.runDir]) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    }
    this.#lifecycle = new Lifecycle(log);
    this.#model = new Model({ trustDomain, cluster: config.cluster });
    this.#state = new MeshState({ trustDomain });
    this.#proof = new ProofBoard((podUid) => this.#state.nodeOf(podUid));
    this.#ca = new CertificateAuthority({
      store: new FileCaStore(`${source.stateDir}/ca`),
      trustDomain,
      log,
      settleMs: config.rotationSettleMs,
      leafLifeMs: config.leafLifeMs,
      onTrust: () => this.#push.trustChanged(),
    });
    this.#push = new PushServer({
      listen: config.listen,
      authenticate: new TokenFile(source.tokens, log).authenticate,
      ca: this.#ca,
      state: this.#state,
      trustDomain,
      version,
      onProof: (node, rows) => this.#noteCaptured(this.#proof.take(node, rows)),
      log,
    });
    this.#source = new DirectorySource({
      directory: source.directory,
      stateFile: `${source.stateDir}/pods.json`,
      domain: this.#model.options.domain,
      log,
      onChanges: (changes) => this.#apply(changes),
    });
  }

  /** Resolves when agents can connect: the source has been read before. */
  async start(): Promise<void> {
    const source: Part = {
      name: 'source',
      start: async () => this.#source.start(),
      stop: async () => this.#source.stop(),
    };
    const ca: Part = {
      name: 'ca',
      start: async () => this.#ca.start(),
      stop: async () => {},
    };
    await this.#lifecycle.start([ca, source, this.#push, ...this.#adminServers()]);
    this.#deps.log.info('controller is ready', { listen: this.#push.addresses });
  }

  async stop(): Promise<void> {
    await this.#lifecycle.stop(0);
  }

  #apply(changes: readonly ObjectChange[]): void {
    const diff = this.#model.apply(changes);
    for (const { object, field, message } of diff.warnings) {
      this.#deps.log.warn('object was taken with a warning', { object, field, warning: message });
    }
    if (isEmptyDiff(diff)) return;
    this.#state.apply(diff);
    this.#push.wake();
    this.#deps.log.info('mesh changed', {
      version: this.#state.version,
      workloads: diff.workloads.length,
      services: diff.services.length,
      policies: diff.policies.length,
      pods: diff.pods.length,
    });
  }

  /** Tells the model which pods are proven, so that peers may use the tunnel to them. */
  #noteCaptured(rows: readonly ProofReport[]): void {
    const captured = rows.filter(
      ({ direction, outcome }) => direction === 'inbound' && outcome === 'captured',
    );
    if (captured.length === 0) return;
    this.#apply(
      captured.map(({ namespace, name, podUid }) => ({
        type: 'set',
        object: {
          kind: 'CaptureReport',
          meta: { namespace, name, labels: {}, annotations: {}, createdMs: 0 },
          podUid,
        },
      })),
    );
  }

  #adminServers(): AdminServer[] {
    const { config, version, log } = this.#deps;
    const metrics = new Metrics().withProcess();
    const parts = { state: this.#state, push: this.#push, ca: this.#ca, proof: this.#proof };
    registerMetrics(metrics, parts);
    const scrape: AdminRoute = {
      method: 'GET',
      path: '/metrics',
      about: 'for Prometheus',
      answer: async () => ({ type: metrics.contentType, body: await metrics.text() }),
    };
    const server = (name: string, routes: readonly AdminRoute[], at: ListenAt): AdminServer =>
      new AdminServer({ name, routes, listen: [at], log, maxBodyBytes: LONGEST_REPORT_BYTES });
    const queries = queryRoutes({
      ...parts,
      snapshot: () => this.#model.snapshot(),
      version: () => ({
        version,
        epoch: this.#push.epoch,
        trustDomain: config.trustDomain,
        meshVersion: this.#state.version,
        startedAtMs: this.#startedAtMs,
      }),
    });
    const routes = [...queries, ...runnerRoutes(this.#source), scrape];
    return [
      server('controller', routes, { path: `${config.runDir}/controller.sock` }),
      ...(config.metrics === undefined
        ? []
        : [server('metrics', [scrape], { ...config.metrics, localOnly: false })]),
    ];
  }
}
