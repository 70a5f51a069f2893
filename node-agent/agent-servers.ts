/**
 * The HTTP servers of the agent: admin on loopback and on a Unix socket, metrics and readiness for
 * whoever reaches the node. Metrics and readiness can only be read.
 */
import { AdminServer } from '#common/admin.ts';
import type { ControlState } from '#common/control/client.ts';
import type { LogControl, Logger } from '#common/log.ts';
import type { Readiness } from '#common/readiness.ts';
import { adminRoutes } from './admin-routes.ts';
import { agentMetrics } from './agent-metrics.ts';
import type { CaptureSet } from './capture/capture-set.ts';
import type { CniPart } from './cni-part.ts';
import type { DataPlane } from './data/data-plane.ts';
import type { CertificateStore } from './identity/certificate-store.ts';
import type { MeshState } from './mesh-state.ts';
import type { PodSet } from './pod-set.ts';
import type { PolicyVerdicts } from './tcp-metrics.ts';

export interface ServersDeps {
  readonly node: string;
  readonly version: string;
  readonly runDir: string;
  readonly startedAtMs: number;
  readonly clusterDomain: string;
  readonly log: Logger;
  readonly logControl: LogControl;
  readonly logLinesDropped: () => number;
  readonly readiness: Readiness;
  readonly mesh: MeshState;
  readonly pods: PodSet;
  readonly cni: CniPart | undefined;
  readonly captures: CaptureSet;
  readonly certificates: CertificateStore;
  readonly dataPlane: DataPlane;
  readonly verdicts: PolicyVerdicts;
  readonly controlState: () => ControlState;
  readonly hasTestHooks: boolean;
}

const ADMIN_PORT = 15_000;
const METRICS_PORT = 15_020;
const READY_PORT = 15_021;

export function agentServers(deps: ServersDeps): AdminServer[] {
  const { log, mesh, readiness, runDir, controlState } = deps;
  const metrics = agentMetrics({
    ...deps,
    isConnected: () => controlState().state === 'connected',
    meshVersion: () => mesh.view.version,
  });
  const scrape = async () => ({ type: metrics.contentType, body: await metrics.text() });
  const about = 'metrics in the Prometheus text format';
  const admin = adminRoutes({
    ...deps,
    view: mesh.view,
    epoch: () => mesh.epoch,
    waitingFor: () => readiness.missing,
  });
  return [
    new AdminServer({
      name: 'admin',
      log,
      routes: admin,
      listen: [
        { host: '127.0.0.1', port: ADMIN_PORT, localOnly: true },
        { path: `${runDir}/agent.sock` },
      ],
    }),
    new AdminServer({
      name: 'metrics',
      log,
      listen: [{ host: '::', port: METRICS_PORT, localOnly: false }],
      routes: ['/metrics', '/stats/prometheus'].map((path) => ({
        method: 'GET',
        path,
        about,
        answer: scrape,
      })),
    }),
    new AdminServer({
      name: 'readiness',
      log,
      listen: [{ host: '::', port: READY_PORT, localOnly: false }],
      routes: [readiness.route()],
    }),
  ];
}
