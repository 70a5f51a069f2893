/**
 * What the controller answers to people's tools on its Unix socket: docs/control-protocol.md lists
 * the paths. Plain data; times are milliseconds since 1970.
 */
import type { AgentStatus, ProofRow } from './messages.ts';

/** `GET /v1/version`. */
export interface VersionReport {
  readonly version: string;
  readonly epoch: string;
  readonly trustDomain: string;
  /** Of the mesh as it stands now. */
  readonly meshVersion: number;
  readonly startedAtMs: number;
}

/** A row of `GET /v1/agents`: one connection. */
export interface AgentReport {
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly remote: string;
  readonly connectedAtMs: number;
  /** The agent has all of the mesh up to here. */
  readonly appliedVersion: number;
  readonly sentVersion: number;
  readonly trustGeneration: number;
  /** Certificates in use there. */
  readonly certificates: number;
  /** Null until the agent has reported. */
  readonly status: AgentStatus | null;
}

/** A row of `GET /v1/proof`. */
export interface ProofReport extends ProofRow {
  readonly node: string;
}

/** `GET /v1/ca`, and the answer to `POST /v1/ca/rotate`. */
export interface CaReport {
  readonly trustDomain: string;
  /** `stable`, or how far a rotation has come. */
  readonly phase: 'stable' | 'distributing' | 'switched' | 'retiring';
  readonly phaseSinceMs: number;
  readonly generation: number;
  /** The root under which leaves are signed now: SHA-256 of its DER. */
  readonly authority: string;
  readonly roots: readonly {
    readonly authority: string;
    readonly subject: string;
    readonly notAfterMs: number;
  }[];
  readonly leafLifeMs: number;
  /** What the next step of a rotation waits for. */
  readonly waitingFor: readonly { readonly node: string; readonly reason: string }[];
}
