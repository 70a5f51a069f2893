/**
 * What is told of a connection when it has ended: one record, for the access log and the metrics.
 *
 * Plain data with every field present ('' or 0 where unknown), so that records cross from worker to
 * main as they are. A connection has exactly one record, also when it failed before anybody knew
 * whose it was. Bytes are the pod's view: sent is what the captured pod of this agent sent.
 */
import type { ErrorCode } from '#common/errors.ts';

export type Direction = 'inbound' | 'outbound';

export type Security = 'mutual_tls' | 'unknown';

/** `response_flags` of the metrics, as upstream spells them. */
export const FLAGS = [
  '-',
  'DENY',
  'CONNECT',
  'TLS_FAILURE',
  'H2_HANDSHAKE_FAILURE',
  'NETWORK_POLICY',
  'IDENTITY_ERROR',
  'CERT_REVOKED',
] as const;
export type ResponseFlag = (typeof FLAGS)[number];

/** How the bytes ended: both sides said so, or one cut the connection. */
export type Ending = 'closed' | 'reset by source' | 'reset by destination' | 'refused' | 'failed';

export interface Party {
  readonly address: string;
  readonly port: number;
  /** Name of the workload. */
  readonly workload: string;
  readonly namespace: string;
  /** Only when a certificate proved it. */
  readonly identity: string;
  readonly cluster: string;
}

export interface ConnectionRecord {
  /** Unique within its worker. */
  readonly id: number;
  readonly worker: number;
  readonly direction: Direction;
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly durationMs: number;
  readonly source: Party;
  readonly destination: Party;
  /** Key of the service that the client addressed. */
  readonly service: string;
  /** Authority of the CONNECT request. */
  readonly hboneAddress: string;
  readonly traceId: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly security: Security;
  readonly flag: ResponseFlag;
  readonly ending: Ending;
  readonly error: { readonly code: ErrorCode; readonly message: string } | undefined;
  readonly policy: string;
  readonly rule: string;
  readonly nearMiss: string;
  /** Policies that did not decide but would have, or that only watch. */
  readonly audits: readonly {
    readonly policy: string;
    readonly rule: string;
    readonly wouldDeny: boolean;
  }[];
  /** Other endpoints tried before this one. */
  readonly retries: number;
  /** Version of the world when the connection was decided. */
  readonly version: number;
}

/** A connection that still lives: its record so far. */
export interface ConnectionInfo extends ConnectionRecord {
  readonly podUid: string;
}

const FLAG_BY_CODE: Readonly<Partial<Record<ErrorCode, ResponseFlag>>> = {
  POLICY_DENIED: 'DENY',
  POLICY_CHANGED: 'DENY',
  NOT_AUTHENTICATED: 'DENY',
  NO_CERTIFICATE: 'IDENTITY_ERROR',
  CERTIFICATE_NOT_ISSUED: 'IDENTITY_ERROR',
  TLS_FAILURE: 'TLS_FAILURE',
  IDENTITY_MISMATCH: 'TLS_FAILURE',
  IDENTITY_INVALID: 'TLS_FAILURE',
  IDENTITY_REFUSED: 'TLS_FAILURE',
  CERTIFICATE_INVALID: 'TLS_FAILURE',
  HTTP2_PROTOCOL_ERROR: 'H2_HANDSHAKE_FAILURE',
  HBONE_PROTOCOL_ERROR: 'H2_HANDSHAKE_FAILURE',
  STOPPING: '-',
};

/** The flag of a connection that ended with this error. */
export function flagOf(code: ErrorCode): ResponseFlag {
  return FLAG_BY_CODE[code] ?? 'CONNECT';
}

/** A party of which only the address is known. */
export function stranger(address: string, port: number): Party {
  return { address, port, workload: '', namespace: '', identity: '', cluster: '' };
}

/** Reads what a data worker posted. */
export function readRecords(json: string): readonly ConnectionRecord[] {
  if (json === '') return [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- our own worker wrote it
  return JSON.parse(json) as readonly ConnectionRecord[];
}
