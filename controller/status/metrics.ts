/** What the controller says of itself to Prometheus; docs/metrics.md has a row for each. */
import type { Metrics } from '#common/metrics.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { MeshState } from '../push/mesh-state.ts';
import type { PushServer } from '../push/push-server.ts';
import type { ConvergenceSinks } from './convergence.ts';
import type { ProofBoard } from './proof-board.ts';

export interface MeteredParts {
  readonly state: MeshState;
  readonly push: PushServer;
  readonly ca: CertificateAuthority;
  readonly proof: ProofBoard;
}

const DAY_MS = 86_400_000;
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** How fast changes reach the agents. */
export function convergenceSinks(metrics: Metrics): ConvergenceSinks {
  return {
    pushed: metrics.histogram({
      name: 'plumbline_controller_push_seconds',
      help: 'From a change of the mesh until one agent has it in force.',
      buckets: SECONDS,
    }),
    converged: metrics.histogram({
      name: 'plumbline_controller_convergence_seconds',
      help: 'From a change of the mesh until every connected agent has it in force.',
      buckets: SECONDS,
    }),
  };
}

export function registerMetrics(metrics: Metrics, { state, push, ca, proof }: MeteredParts): void {
  metrics.gauge({
    name: 'plumbline_controller_agents',
    help: 'Node agents that are connected.',
    read: () => [{ value: push.agents.length }],
  });
  metrics.gauge({
    name: 'plumbline_controller_objects',
    help: 'Objects of the mesh, by kind.',
    labels: ['kind'],
    read: () =>
      Object.entries(state.counts()).map(([kind, value]) => ({ labels: { kind }, value })),
  });
  metrics.gauge({
    name: 'plumbline_controller_mesh_version',
    help: 'Version of the mesh, within this process.',
    read: () => [{ value: state.version }],
  });
  metrics.gauge({
    name: 'plumbline_controller_agents_behind',
    help: 'Agents that have not yet applied the newest version.',
    read: () => [
      { value: push.agents.filter(({ appliedVersion }) => appliedVersion < state.version).length },
    ],
  });
  metrics.counter({
    name: 'plumbline_controller_tokens_refused_total',
    help: 'Connections refused for their token.',
    read: () => [{ value: push.refusedTokens }],
  });
  metrics.counter({
    name: 'plumbline_controller_certificates_total',
    help: 'Workload certificates, by what became of the request.',
    labels: ['result'],
    read: () => [
      { labels: { result: 'issued' }, value: push.certificates.issued },
      { labels: { result: 'refused' }, value: push.certificates.refused },
    ],
  });
  metrics.gauge({
    name: 'plumbline_controller_roots',
    help: 'Roots that are trusted: 1, and 2 while a rotation is under way.',
    read: () => [{ value: ca.trust.roots.length }],
  });
  metrics.gauge({
    name: 'plumbline_controller_certificate_days',
    help: 'Days until a certificate of the CA that signs ends.',
    labels: ['certificate'],
    read: () => {
      const { rootMs, issuingMs } = ca.lives;
      const days = (ms: number): number => (ms - Date.now()) / DAY_MS;
      return [
        { labels: { certificate: 'root' }, value: days(rootMs) },
        { labels: { certificate: 'issuing' }, value: days(issuingMs) },
      ];
    },
  });
  metrics.gauge({
    name: 'plumbline_controller_given_ca_refused',
    help: '1 while a CA is given from outside that cannot be used.',
    read: () => [{ value: ca.givenProblem === '' ? 0 : 1 }],
  });
  metrics.gauge({
    name: 'plumbline_controller_proof_failures',
    help: 'Results of the capture proof that say "not captured".',
    read: () => [
      { value: proof.rows().filter(({ outcome }) => outcome === 'not-captured').length },
    ],
  });
}
