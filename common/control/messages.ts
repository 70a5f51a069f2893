/**
 * What controller and agents say to each other: docs/control-protocol.md explains it.
 *
 * Every message is one JSON object in one WebSocket text frame, with a `type`. Both ends decode
 * strictly (schema.ts): a field that is missing, unknown or out of bounds ends the connection. So a
 * new field needs a new protocol version, and nobody sends what the other end has not agreed to.
 */
import type { Family } from '../address.ts';
import type { MeshUpdate } from '../mesh/update.ts';

/** The versions this build speaks; the agent offers all, the controller picks the highest shared. */
export const PROTOCOL_VERSIONS: readonly number[] = [1, 2];

/** From this version on the controller says which namespaces are enrolled. */
export const NAMESPACES_SINCE = 2;

/** Where the controller serves agents, and the WebSocket subprotocol that both must name. */
export const AGENT_PATH = '/v1/agent';
export const SUBPROTOCOL = 'plumbline.control';

/** Longest message of an agent, and of the controller. */
export const AGENT_MESSAGE_BYTES = 256 * 1024;
export const CONTROLLER_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Each end pings this often, and gives the peer up when nothing at all came for this long. */
export const PING_INTERVAL_MS = 5_000;
export const SILENCE_LIMIT_MS = 18_000;

/** Why one end closed: WebSocket close codes of our own range. */
export const CLOSE_CODES = {
  superseded: 4001,
  messageInvalid: 4400,
  notAllowed: 4403,
  helloTimeout: 4408,
  versionUnsupported: 4426,
  limitReached: 4429,
} as const;

/** What an agent holds already: the epoch and version of the last update that it applied whole. */
export interface ResumePoint {
  readonly epoch: string;
  readonly version: number;
}

/** Must be the first message of an agent, within ten seconds. */
export interface Hello {
  readonly type: 'hello';
  readonly protocols: readonly number[];
  readonly node: string;
  /** Of this agent process; a predecessor and its successor are told apart by it. */
  readonly instance: string;
  /** Version of the agent program. */
  readonly version: string;
  readonly resume: ResumePoint | null;
}

/** The update of this version, and all before it, stand on this agent. */
export interface Applied {
  readonly type: 'applied';
  readonly version: number;
}

/** A request for a certificate; the key stays on the node. */
export interface CertificateRequest {
  readonly type: 'certificate-request';
  readonly id: number;
  readonly identity: string;
  /** PEM. */
  readonly csr: string;
}

/** The roots of this generation are in force in every TLS context of this agent. */
export interface TrustApplied {
  readonly type: 'trust-applied';
  readonly generation: number;
}

/** A certificate that an agent presents to peers. */
export interface HeldLeaf {
  readonly identity: string;
  /** `Trust.authority` of the root above it. */
  readonly authority: string;
  readonly notAfterMs: number;
}

/** All certificates in use on this agent; sent when that changes. Replaces the report before. */
export interface Leaves {
  readonly type: 'leaves';
  readonly leaves: readonly HeldLeaf[];
}

export interface ProofRow {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly direction: 'outbound' | 'inbound';
  readonly family: Family;
  readonly outcome: 'captured' | 'not-captured' | 'not-applicable';
  readonly reason: string;
  readonly atMs: number;
}

/** New results of the capture proof; a row replaces that of the same pod, direction and family. */
export interface Proof {
  readonly type: 'proof';
  readonly rows: readonly ProofRow[];
}

/** How the agent is; replaces the report before. */
export interface AgentStatus {
  readonly ready: boolean;
  /** What readiness still waits for. */
  readonly waitingFor: readonly string[];
  readonly startedAtMs: number;
  readonly podsLabelled: number;
  readonly podsProven: number;
  readonly connections: number;
}

export interface Status {
  readonly type: 'status';
  readonly status: AgentStatus;
}

export type AgentMessage =
  Hello | Applied | CertificateRequest | TrustApplied | Leaves | Proof | Status;

/** Answers `hello`. */
export interface Welcome {
  readonly type: 'welcome';
  readonly protocol: number;
  readonly epoch: string;
  readonly trustDomain: string;
  /** Version of the controller program. */
  readonly version: string;
  /** Deltas follow; otherwise a snapshot does. */
  readonly resumed: boolean;
}

/**
 * Which roots an agent must accept, and under which of them its own certificates should be. An agent
 * applies the roots, answers `trust-applied`, and renews at once what is under another authority.
 */
export interface Trust {
  readonly generation: number;
  /** PEM, one certificate each. */
  readonly roots: readonly string[];
  /** SHA-256 of the DER form of the root to be under, in hex. */
  readonly authority: string;
}

export interface TrustMessage extends Trust {
  readonly type: 'trust';
}

/** One part of an update; the agent applies the update once it has the part that is the last. */
export interface UpdatePart extends MeshUpdate {
  readonly type: 'update';
  /** From 0. */
  readonly part: number;
  readonly last: boolean;
}

/** What becomes of a pod of the namespace that starts and cannot be proven captured. */
export type OnFailure = 'hold' | 'open';

export interface EnrolledNamespace {
  readonly name: string;
  readonly onFailure: OnFailure;
}

/** All namespaces whose pods are enrolled unless they opt out; replaces the list before. */
export interface Namespaces {
  readonly type: 'namespaces';
  readonly namespaces: readonly EnrolledNamespace[];
}

export interface CertificateIssued {
  readonly type: 'certificate';
  readonly id: number;
  /** PEM: the leaf, then the issuing certificate. */
  readonly chain: string;
  readonly authority: string;
}

/** Error codes with which a certificate may be refused. */
export const REFUSAL_CODES = [
  'CERTIFICATE_INVALID',
  'CERTIFICATE_NOT_ISSUED',
  'IDENTITY_INVALID',
  'IDENTITY_REFUSED',
  'LIMIT_REACHED',
] as const;

export interface CertificateRefused {
  readonly type: 'certificate-refused';
  readonly id: number;
  readonly code: (typeof REFUSAL_CODES)[number];
  readonly message: string;
}

export type ControllerMessage =
  Welcome | TrustMessage | UpdatePart | Namespaces | CertificateIssued | CertificateRefused;
