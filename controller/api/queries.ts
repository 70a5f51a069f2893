/**
 * What people's tools may ask the controller, and the one thing they may order: a root rotation.
 *
 * Served on a Unix socket that is root's alone. Answers are what the agents get, not copies that could
 * differ; there is no key in any of them.
 */
import { json, text, type AdminRoute } from '#common/admin.ts';
import type { AgentReport, VersionReport } from '#common/control/reports.ts';
import { hasCode } from '#common/errors.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { ModelDiff } from '../model/diff.ts';
import type { PushServer } from '../push/push-server.ts';
import type { ProofBoard } from '../status/proof-board.ts';

export interface QueryDeps {
  readonly version: () => VersionReport;
  readonly snapshot: () => ModelDiff;
  readonly push: PushServer;
  readonly proof: ProofBoard;
  readonly ca: CertificateAuthority;
}

export function queryRoutes({ version, snapshot, push, proof, ca }: QueryDeps): AdminRoute[] {
  const get = (path: string, about: string, answer: () => unknown): AdminRoute => ({
    method: 'GET',
    path,
    about,
    answer: () => json(answer()),
  });
  return [
    get('/v1/version', 'version of program and mesh', version),
    get('/v1/agents', 'the agents that are connected', () => push.agents.map(reportAgent)),
    get('/v1/workloads', 'all workloads', () => snapshot().workloads),
    get('/v1/services', 'all services', () => snapshot().services),
    get('/v1/policies', 'all policies', () => snapshot().policies),
    get('/v1/warnings', 'what authors of objects should know', () => snapshot().warnings),
    get('/v1/proof', 'the newest capture proof of every pod', () => proof.rows()),
    get('/v1/ca', 'roots, and how far a rotation has come', () => ca.report()),
    {
      method: 'POST',
      path: '/v1/ca/rotate',
      about: 'replace the root; GET /v1/ca tells how far it has come',
      answer: async () => {
        try {
          const began = await ca.rotate();
          await push.advanceRotation();
          return json(ca.report(), began ? 202 : 200);
        } catch (error) {
          if (!hasCode(error, 'NOT_LEADING') || !(error instanceof Error)) throw error;
          return text(`${error.message}\n`, 409);
        }
      },
    },
  ];
}

function reportAgent(agent: PushServer['agents'][number]): AgentReport {
  return {
    node: agent.node,
    instance: agent.hello?.instance ?? '',
    version: agent.hello?.version ?? '',
    remote: agent.remote,
    connectedAtMs: agent.sinceMs,
    appliedVersion: agent.appliedVersion,
    sentVersion: agent.sentVersion,
    trustGeneration: agent.generation,
    certificates: agent.leaves?.length ?? 0,
    status: agent.status ?? null,
  };
}
