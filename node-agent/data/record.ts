/**
 * What is told about a connection: when it opens, while it lives, and at its end.
 *
 * Plain data that crosses from a data worker to the main thread in batches. Every connection that an
 * agent accepted ends in exactly one record with `ended: true`, refused ones included; a long one is
 * reported now and then before (`ended: false`) so that its bytes are counted while they flow.
 * `bytesSent` and `bytesReceived` are totals since the start, seen from the connection's source.
 */

/** Istio's vocabulary: docs/metrics.md. */
export type ResponseFlags =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED';

/** One end of a connection, as far as it is known; '' where it is not. */
export interface Party {
  readonly address: string;
  readonly port: number;
  /** Uid of the workload. */
  readonly workload: string;
  readonly identity: string;
}

export interface ConnectionRecord {
  /** Unique within the agent's life. */
  readonly id: string;
  readonly ended: boolean;
  readonly direction: 'inbound' | 'outbound';
  readonly podUid: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly durationMs: number;
  readonly source: Party;
  readonly destination: Party;
  /** Key of the service that was addressed, or ''. */
  readonly service: string;
  /** The `:authority` of the CONNECT, or '' without a tunnel. */
  readonly hboneAddress: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly security: 'mutual_tls' | 'unknown';
  readonly flags: ResponseFlags;
  /** Error code of common/errors.ts and a sentence; absent for a connection that ended well. */
  readonly error?: { readonly code: string; readonly message: string };
  /** The policy that refused, with its rule and what was missing to pass. */
  readonly policy?: string;
  readonly rule?: string;
  readonly nearMiss?: string;
  /** Policies that would have decided otherwise: audit and dry run. */
  readonly audits?: readonly {
    readonly policy: string;
    readonly rule: string;
    readonly wouldDeny: boolean;
  }[];
  /** Version of the mesh by which it was decided. */
  readonly version: number;
}
