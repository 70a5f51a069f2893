/**
 * The controller, whole: source → model → state → agents, with CA, queries and metrics beside it.
 *
 * The map of the program: every part is made here and knows only what it is given. What it stands on, a
 * directory or a cluster, is a backing of its own.
 */
import { mkdirSync } from 'node:fs';
import { AdminServer, text, type AdminRoute, type AdminServerOptions } from '#common/admin.ts';
import type { ProofReport } from '#common/control/reports.ts';
import { Lifecycle, type Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import { Metrics } from '#common/metrics.ts';
import { Readiness } from '#common/readiness.ts';
import { queryRoutes } from './api/queries.ts';
import type { Backing } from './backing.ts';
import { CertificateAuthority } from './ca/certificate-authority.ts';
import type { ControllerConfig } from './config.ts';
import { isEmptyDiff, kindOf, type ObjectChange } from './model/diff.ts';
import { Model } from './model/model.ts';
import { OnCluster } from './on-cluster.ts';
import { OnDirectory } from './on-directory.ts';
import { MeshState } from './push/mesh-state.ts';
import { PushServer } from './push/push-server.ts';
import { Convergence } from './status/convergence.ts';
import { convergenceSinks, registerMetrics } from './status/metrics.ts';
import { ProofBoard } from './status/proof-board.ts';

export interface ControllerDeps {
  readonly config: ControllerConfig;
  /** Of this build. */
  readonly version: string;
  readonly log: Logger;
}

/** A world of many objects in one answer. */
const LONGEST_REPORT_BYTES = 8 * 1024 * 1024;
/** Of the certificate with which queries are answered. */
const LONGEST_RENEWAL_MS = 3_600_000;

export class Controller {
  readonly #deps: ControllerDeps;
  readonly #backing: Backing;
  readonly #model: Model;
  readonly #state: MeshState;
  readonly #ca: CertificateAuthority;
  readonly #push: PushServer;
  readonly #proof: ProofBoard;
  readonly #metrics = new Metrics().withProcess();
  readonly #convergence: Convergence;
  readonly #readiness: Readiness;
  readonly #lifecycle: Lifecycle;
  readonly #startedAtMs = Date.now();
  #api: AdminServer | undefined;
  #settling: NodeJS.Immediate | undefined;

  constructor(deps: ControllerDeps) {
    const { config, version, log } = deps;
    const { trustDomain, source } = config;
    this.#deps = deps;
    mkdirSync(config.runDir, { recursive: true, mode: 0o700 });
    this.#backing =
      source.kind === 'kubernetes' ? new OnCluster(source, log) : new OnDirectory(source, log);
    const backing = this.#backing;
    this.#lifecycle = new Lifecycle(log);
    this.#readiness = new Readiness(log);
    this.#model = new Model({ trustDomain, cluster: config.cluster, ...backing.modelOptions });
    this.#state = new MeshState({ trustDomain });
    this.#proof = new ProofBoard((podUid) => this.#state.nodeOf(podUid));
    this.#convergence = new Convergence(convergenceSinks(this.#metrics));
    this.#ca = new CertificateAuthority({
      ...backing.caOptions(),
      trustDomain,
      log,
      settleMs: config.rotationSettleMs,
      leafLifeMs: config.leafLifeMs,
      onTrust: () => {
        this.#push.trustChanged();
        this.#api?.renew();
        backing.noteTrust();
      },
    });
    this.#push = new PushServer({
      listen: config.listen,
      authenticate: backing.authenticate,
      ca: this.#ca,
      state: this.#state,
      trustDomain,
      version,
      onProof: (node, rows) => this.#noteProof(this.#proof.take(node, rows)),
      onStatus: (node, status) => backing.noteStatus(node, status),
      onApplied: (applied) => this.#noteApplied(applied),
      otherAgents: () => backing.otherAgents(),
      log,
    });
  }

  /** Resolves when agents can connect: the source has been read before. */
  async start(): Promise<void> {
    const parts = {
      ca: this.#ca,
      model: this.#model,
      state: this.#state,
      push: this.#push,
      proof: this.#proof,
    };
    const backing = this.#backing;
    registerMetrics(this.#metrics, parts);
    backing.registerMetrics(this.#metrics);
    const isUp = ['CA', 'source', 'agents'].map((what) => this.#readiness.blockedBy(what));
    const [hasCa, hasSource, hasAgents] = isUp;
    const source = backing.source((changes) => this.#apply(changes));
    const [scraped, asked] = [this.#metricsServers(), this.#queryServers()];
    await this.#lifecycle.start([
      ...scraped,
      ...backing.openCa(this.#ca),
      marker('CA', hasCa),
      source,
      marker('source', hasSource),
      this.#push,
      marker('agents', hasAgents),
      ...backing.beside(parts),
      ...asked,
    ]);
    this.#deps.log.info('controller is ready', {
      listen: this.#push.addresses,
      metrics: scraped.flatMap(({ addresses }) => addresses),
      api: asked.flatMap(({ addresses }) => addresses),
    });
  }

  async stop(): Promise<void> {
    this.#readiness.blockedBy('stopping');
    await this.#lifecycle.stop(0);
    clearImmediate(this.#settling);
  }

  #apply(changes: readonly ObjectChange[]): void {
    const diff = this.#model.apply(changes);
    if (changes.some((change) => kindOf(change) === 'Namespace')) {
      this.#push.setNamespaces(this.#model.enrolledNamespaces());
    }
    for (const { object, field, message } of diff.warnings) {
      this.#deps.log.warn('object was taken with a warning', { object, field, warning: message });
    }
    this.#backing.noteChanges(changes, diff);
    if (isEmptyDiff(diff)) return;
    this.#state.apply(diff);
    // Where nobody listens there is nothing to measure.
    if (this.#push.agents.length > 0) {
      this.#convergence.made(this.#state.version, performance.now());
    }
    this.#push.wake();
    this.#deps.log.info('mesh changed', {
      version: this.#state.version,
      workloads: diff.workloads.length,
      services: diff.services.length,
      policies: diff.policies.length,
      pods: diff.pods.length,
    });
  }

  /** All agents are looked at once for what came in one turn of the loop. */
  #noteApplied(version: number): void {
    this.#convergence.applied(version, performance.now());
    this.#settling ??= setImmediate(() => {
      this.#settling = undefined;
      const applied = this.#push.agents.map(({ appliedVersion }) => appliedVersion);
      this.#convergence.everywhere(Math.min(...applied), performance.now());
    });
  }

  /** Tells the model which pods are proven, so that peers may use the tunnel to them. */
  #noteProof(rows: readonly ProofReport[]): void {
    this.#backing.noteProof(rows);
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

  /** Up before all else: it says what is still waited for. */
  #metricsServers(): AdminServer[] {
    const { metrics } = this.#deps.config;
    if (metrics === undefined) return [];
    const health: AdminRoute = {
      method: 'GET',
      path: '/healthz',
      about: '200 while the program runs',
      answer: () => text('ok\n'),
    };
    const ready = { ...this.#readiness.route(), path: '/readyz' };
    const routes = [this.#scrape(), health, ready];
    return [this.#server({ name: 'metrics', routes, listen: [{ ...metrics, localOnly: false }] })];
  }

  #queryServers(): AdminServer[] {
    const { config, version } = this.#deps;
    const { admit } = this.#backing;
    const queries = queryRoutes({
      ca: this.#ca,
      push: this.#push,
      proof: this.#proof,
      snapshot: () => this.#model.snapshot(),
      version: () => ({
        version,
        epoch: this.#push.epoch,
        trustDomain: config.trustDomain,
        meshVersion: this.#state.version,
        startedAtMs: this.#startedAtMs,
      }),
    });
    const routes = [...queries, ...this.#backing.routes(), this.#scrape()];
    const path = `${config.runDir}/controller.sock`;
    const servers = [this.#server({ name: 'controller', routes, listen: [{ path }] })];
    if (config.api !== undefined && admit !== undefined) {
      const listen = [{ ...config.api, localOnly: false }];
      const renewMs = Math.min(LONGEST_RENEWAL_MS, config.leafLifeMs / 2);
      const tls = { credentials: () => this.#credentials(), renewMs };
      this.#api = this.#server({ name: 'queries', routes: queries, listen, tls, admit });
      servers.push(this.#api);
    }
    return servers;
  }

  #credentials(): { cert: string; key: string } {
    const { chainPem, keyPem } = this.#ca.issueController();
    return { cert: chainPem, key: keyPem };
  }

  #scrape(): AdminRoute {
    return {
      method: 'GET',
      path: '/metrics',
      about: 'for Prometheus',
      answer: async () => ({ type: this.#metrics.contentType, body: await this.#metrics.text() }),
    };
  }

  #server(options: Omit<AdminServerOptions, 'log'>): AdminServer {
    const { log } = this.#deps;
    return new AdminServer({ ...options, log, maxBodyBytes: LONGEST_REPORT_BYTES });
  }
}

/** A part that does nothing but say that those before it have started. */
function marker(name: string, reached: (() => void) | undefined): Part {
  return { name: `${name} (reached)`, start: async () => reached?.(), stop: async () => {} };
}
