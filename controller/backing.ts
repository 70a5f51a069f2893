/**
 * What a controller stands on: a directory of YAML on one machine, or the API server of a cluster. It
 * gives the objects, says who an agent is, and keeps the CA.
 */
import type { AdminRoute, Caller, Reply } from '#common/admin.ts';
import type { AgentStatus } from '#common/control/messages.ts';
import type { ProofReport } from '#common/control/reports.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Metrics } from '#common/metrics.ts';
import type { CaOptions, CertificateAuthority } from './ca/certificate-authority.ts';
import type { AgentView } from './ca/rotation.ts';
import type { ModelDiff, ModelOptions, ObjectChange } from './model/diff.ts';
import type { Model } from './model/model.ts';
import type { MeshState } from './push/mesh-state.ts';
import type { PushServer } from './push/push-server.ts';
import type { Authenticate } from './push/tokens.ts';
import type { ProofBoard } from './status/proof-board.ts';

/** The parts of the program that are the same on both. */
export interface MeshParts {
  readonly ca: CertificateAuthority;
  readonly model: Model;
  readonly state: MeshState;
  readonly push: PushServer;
  readonly proof: ProofBoard;
}

export interface Backing {
  readonly authenticate: Authenticate;
  readonly modelOptions: Partial<ModelOptions>;
  caOptions(): Pick<CaOptions, 'store' | 'given' | 'mayWrite' | 'leader'>;
  /** Opens the CA, with what must run before. */
  openCa(ca: CertificateAuthority): Part[];
  /** Started: the first state has been handed over. */
  source(onChanges: (changes: readonly ObjectChange[]) => void): Part;
  /** What goes on beside serving agents. */
  beside(mesh: MeshParts): Part[];
  /** What it answers besides the queries about the mesh; once it has its source. */
  routes(): AdminRoute[];
  /** Refuses callers of the query API on TCP; undefined: nobody can be told apart, so none is served. */
  readonly admit: ((caller: Caller) => Promise<Reply | undefined>) | undefined;
  registerMetrics(metrics: Metrics): void;
  /** Agents that are connected elsewhere. */
  otherAgents(): readonly AgentView[];
  /** What the source has said, and what the model made of it. */
  noteChanges(changes: readonly ObjectChange[], diff: ModelDiff): void;
  noteProof(rows: readonly ProofReport[]): void;
  noteStatus(node: string, status: AgentStatus): void;
  noteTrust(): void;
}
