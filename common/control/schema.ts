/**
 * The two doors of the control protocol: text of a peer in, a message of a known type out.
 *
 * Whatever is not exactly a message of the protocol throws `MESSAGE_INVALID`; nobody further in checks
 * again.
 */
import {
  boolean,
  decodeText,
  integer,
  lines,
  list,
  matching,
  nullOr,
  object,
  oneOf,
  text,
  union,
} from './decode.ts';
import { localPod, policy, service, workload } from './mesh-schema.ts';
import { AGENT_MESSAGE_BYTES, CONTROLLER_MESSAGE_BYTES, REFUSAL_CODES } from './messages.ts';
import type {
  AgentMessage,
  AgentStatus,
  Applied,
  CertificateIssued,
  CertificateRefused,
  CertificateRequest,
  ControllerMessage,
  EnrolledNamespace,
  HeldLeaf,
  Hello,
  Leaves,
  Namespaces,
  Proof,
  ProofRow,
  ResumePoint,
  Status,
  TrustApplied,
  TrustMessage,
  UpdatePart,
  Welcome,
} from './messages.ts';

/** Objects in one part of an update, removed names included. */
const MOST_OBJECTS = 65_536;
const MOST_LEAVES = 1024;
const MOST_ROWS = 2048;
const MOST_NAMESPACES = 65_536;

const id = integer(0, Number.MAX_SAFE_INTEGER);
const version = id;
const timeMs = integer(0, 8.64e15);
const name = text(253);
const identity = text(640);
const authority = matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex');
const epoch = matching(/^[0-9a-zA-Z-]{1,64}$/, 'an epoch');
const key = text(1024);

const hello = object<Hello>({
  type: oneOf('hello'),
  protocols: list(integer(1, 1_000_000), 16),
  node: name,
  instance: epoch,
  version: text(64),
  resume: nullOr(object<ResumePoint>({ epoch, version })),
});

const leaf = object<HeldLeaf>({ identity, authority, notAfterMs: timeMs });

const proofRow = object<ProofRow>({
  podUid: name,
  namespace: name,
  name,
  direction: oneOf('outbound', 'inbound'),
  family: oneOf(4, 6),
  outcome: oneOf('captured', 'not-captured', 'not-applicable'),
  reason: text(256),
  atMs: timeMs,
});

const status = object<AgentStatus>({
  ready: boolean,
  waitingFor: list(text(128), 32),
  startedAtMs: timeMs,
  podsLabelled: integer(0, 1_000_000),
  podsProven: integer(0, 1_000_000),
  connections: integer(0, 1_000_000_000),
});

const agentMessage = union<AgentMessage>({
  hello,
  applied: object<Applied>({ type: oneOf('applied'), version }),
  'certificate-request': object<CertificateRequest>({
    type: oneOf('certificate-request'),
    id,
    identity,
    csr: lines(8192),
  }),
  'trust-applied': object<TrustApplied>({ type: oneOf('trust-applied'), generation: id }),
  leaves: object<Leaves>({ type: oneOf('leaves'), leaves: list(leaf, MOST_LEAVES) }),
  proof: object<Proof>({ type: oneOf('proof'), rows: list(proofRow, MOST_ROWS) }),
  status: object<Status>({ type: oneOf('status'), status }),
});

const keys = list(key, MOST_OBJECTS);

const updatePart = object<UpdatePart>({
  type: oneOf('update'),
  version,
  snapshot: boolean,
  part: integer(0, 1_000_000),
  last: boolean,
  workloads: list(workload, MOST_OBJECTS),
  services: list(service, MOST_OBJECTS),
  policies: list(policy, MOST_OBJECTS),
  pods: list(localPod, MOST_OBJECTS),
  removed: object<UpdatePart['removed']>({
    workloads: keys,
    services: keys,
    policies: keys,
    pods: keys,
  }),
});

const controllerMessage = union<ControllerMessage>({
  welcome: object<Welcome>({
    type: oneOf('welcome'),
    protocol: integer(1, 1_000_000),
    epoch,
    trustDomain: name,
    version: text(64),
    resumed: boolean,
  }),
  trust: object<TrustMessage>({
    type: oneOf('trust'),
    generation: id,
    roots: list(lines(16_384), 8),
    authority,
  }),
  update: updatePart,
  namespaces: object<Namespaces>({
    type: oneOf('namespaces'),
    namespaces: list(
      object<EnrolledNamespace>({
        name: matching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'the name of a namespace'),
        onFailure: oneOf('hold', 'open'),
      }),
      MOST_NAMESPACES,
    ),
  }),
  certificate: object<CertificateIssued>({
    type: oneOf('certificate'),
    id,
    chain: lines(65_536),
    authority,
  }),
  'certificate-refused': object<CertificateRefused>({
    type: oneOf('certificate-refused'),
    id,
    code: oneOf(...REFUSAL_CODES),
    message: text(1024),
  }),
});

/** Reads what an agent sent. */
export function decodeAgentMessage(message: string): AgentMessage {
  return decodeText(message, {
    what: 'a message of the agent',
    decoder: agentMessage,
    maxLength: AGENT_MESSAGE_BYTES,
  });
}

/** Reads what the controller sent. */
export function decodeControllerMessage(message: string): ControllerMessage {
  return decodeText(message, {
    what: 'a message of the controller',
    decoder: controllerMessage,
    maxLength: CONTROLLER_MESSAGE_BYTES,
  });
}
