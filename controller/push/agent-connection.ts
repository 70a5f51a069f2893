/**
 * One agent on one WebSocket: hello, welcome, then trust and updates one way, requests and reports the
 * other, until either end closes.
 *
 * The node is the one its token stands for; whatever the agent says of itself is checked against it.
 * A message that is not exactly right ends the connection, and an agent gets a certificate only for an
 * identity that has an enrolled pod on its node.
 */
import type { KeyObject } from 'node:crypto';
import {
  CLOSE_CODES,
  NAMESPACES_SINCE,
  PROTOCOL_VERSIONS,
  REFUSAL_CODES,
  type AgentMessage,
  type AgentStatus,
  type CertificateRefused,
  type CertificateRequest,
  type ControllerMessage,
  type EnrolledNamespace,
  type HeldLeaf,
  type Hello,
  type ProofRow,
  type Trust,
} from '#common/control/messages.ts';
import { decodeAgentMessage } from '#common/control/schema.ts';
import { MeshError } from '#common/errors.ts';
import type { Gate } from '#common/gate.ts';
import { parseIdentity, type Identity } from '#common/identity.ts';
import type { Logger } from '#common/log.ts';
import { readRequest } from '#common/tls/csr.ts';
import type { IssuedLeaf } from '../ca/certificate-authority.ts';
import { Feed } from './feed.ts';
import type { MeshState } from './mesh-state.ts';
import type { Message } from './parts.ts';
import type { Rate } from './rate.ts';

/** What a connection needs of its WebSocket. */
export interface Wire {
  /** Resolves when the message has left this process. */
  send(message: Message): Promise<void>;
  close(code: number, reason: string): void;
}

export interface ConnectionDeps {
  readonly wire: Wire;
  /** Whom the token stands for. */
  readonly node: string;
  /** Of the pod that the token is bound to; undefined when it is bound to none. */
  readonly podUid: string | undefined;
  readonly remote: string;
  readonly epoch: string;
  /** Of this controller program. */
  readonly version: string;
  readonly trustDomain: string;
  readonly state: MeshState;
  readonly snapshots: Gate;
  readonly requests: Rate;
  readonly trust: () => Trust;
  readonly namespaces: () => readonly EnrolledNamespace[];
  readonly issue: (identity: Identity, key: KeyObject) => IssuedLeaf;
  /** Something that a rotation may wait for has changed. */
  readonly onProgress: () => void;
  readonly onProof: (node: string, rows: readonly ProofRow[]) => void;
  readonly onStatus: (node: string, status: AgentStatus) => void;
  readonly onApplied: (version: number) => void;
  /** Counts, of all connections together. */
  readonly certificates: { issued: number; refused: number };
  readonly log: Logger;
}

const HELLO_TIMEOUT_MS = 10_000;

export class AgentConnection {
  readonly node: string;
  readonly podUid: string | undefined;
  readonly remote: string;
  readonly sinceMs = Date.now();
  readonly #deps: ConnectionDeps;
  readonly #log: Logger;
  readonly #late: NodeJS.Timeout;
  #hello: Hello | undefined;
  #feed: Feed | undefined;
  #protocol = 0;
  #closed = false;
  #applied = 0;
  #generation = 0;
  #leaves: readonly HeldLeaf[] | undefined;
  #status: AgentStatus | undefined;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.node = deps.node;
    this.podUid = deps.podUid;
    this.remote = deps.remote;
    this.#log = deps.log.with({ node: deps.node, remote: deps.remote });
    this.#late = setTimeout(
      () => this.close(CLOSE_CODES.helloTimeout, 'no hello in time'),
      HELLO_TIMEOUT_MS,
    ).unref();
  }

  get hello(): Hello | undefined {
    return this.#hello;
  }

  get appliedVersion(): number {
    return this.#applied;
  }

  get sentVersion(): number {
    return this.#feed?.sent ?? 0;
  }

  /** Of the roots in force there. */
  get generation(): number {
    return this.#generation;
  }

  get leaves(): readonly HeldLeaf[] | undefined {
    return this.#leaves;
  }

  get status(): AgentStatus | undefined {
    return this.#status;
  }

  /** Takes what came on the WebSocket. */
  receive(text: string): void {
    if (this.#closed) return;
    try {
      this.#take(decodeAgentMessage(text));
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      this.#log.warn('agent sent what cannot be taken', { error });
      this.close(CLOSE_CODES.messageInvalid, error.message);
    }
  }

  /** The state has a new version. */
  wake(): void {
    this.#feed?.wake();
  }

  /** The roots or the authority have changed. */
  sendTrust(): void {
    if (this.#hello !== undefined) this.#send({ type: 'trust', ...this.#deps.trust() });
  }

  /** Other namespaces are enrolled now; an agent that speaks the first version is not told. */
  sendNamespaces(): void {
    if (this.#protocol < NAMESPACES_SINCE) return;
    this.#send({ type: 'namespaces', namespaces: this.#deps.namespaces() });
  }

  close(code: number, reason: string): void {
    if (this.#closed) return;
    this.#deps.wire.close(code, reason);
    this.ended();
  }

  /** The WebSocket is gone. */
  ended(): void {
    this.#closed = true;
    clearTimeout(this.#late);
    this.#feed?.stop();
  }

  #take(message: AgentMessage): void {
    if (this.#hello === undefined) {
      if (message.type !== 'hello') throw outOfPlace(message.type);
      this.#greet(message);
      return;
    }
    switch (message.type) {
      case 'hello':
        throw outOfPlace('hello');
      case 'applied':
        this.#applied = message.version;
        this.#deps.onApplied(message.version);
        break;
      case 'certificate-request':
        this.#answer(message);
        break;
      case 'trust-applied':
        this.#generation = message.generation;
        this.#deps.onProgress();
        break;
      case 'leaves':
        this.#leaves = message.leaves;
        this.#deps.onProgress();
        break;
      case 'proof':
        this.#deps.onProof(this.node, message.rows);
        break;
      case 'status':
        this.#status = message.status;
        this.#deps.onStatus(this.node, message.status);
        break;
    }
  }

  #greet(hello: Hello): void {
    clearTimeout(this.#late);
    const { state, epoch, version, trustDomain, snapshots } = this.#deps;
    const protocol = Math.max(
      0,
      ...hello.protocols.filter((offered) => PROTOCOL_VERSIONS.includes(offered)),
    );
    if (protocol === 0) {
      this.#log.error('agent speaks no protocol of ours', { offered: hello.protocols });
      this.close(CLOSE_CODES.versionUnsupported, `we speak ${PROTOCOL_VERSIONS.join(', ')}`);
      return;
    }
    if (hello.node !== this.node) {
      this.#log.error('agent claims to be of another node', { claimed: hello.node });
      this.close(CLOSE_CODES.notAllowed, `this token is for the node "${this.node}"`);
      return;
    }
    this.#hello = hello;
    this.#protocol = protocol;
    const { resume } = hello;
    const resumed = resume?.epoch === epoch && state.canResume(this.node, resume.version);
    this.#send({ type: 'welcome', protocol, epoch, trustDomain, version, resumed });
    this.sendTrust();
    this.sendNamespaces();
    const from = resumed ? resume.version : undefined;
    this.#applied = from ?? 0;
    const send = async (message: Message): Promise<void> => this.#deps.wire.send(message);
    this.#feed = new Feed({ state, node: this.node, from, send, snapshots });
    void this.#run(this.#feed);
    this.#log.info('agent connected', {
      instance: hello.instance,
      agentVersion: hello.version,
      resumed,
    });
  }

  async #run(feed: Feed): Promise<void> {
    try {
      await feed.run();
    } catch (error) {
      // The WebSocket has ended under a message; its close says so too.
      this.#log.debug('a message could not be sent', { error });
      this.ended();
    }
  }

  #answer({ id, identity, csr }: CertificateRequest): void {
    try {
      const { chainPem, authority, notAfterMs } = this.#issue(identity, csr);
      this.#deps.certificates.issued += 1;
      this.#log.info('certificate issued', { identity, notAfterMs, authority });
      this.#send({ type: 'certificate', id, chain: chainPem, authority });
    } catch (error) {
      this.#deps.certificates.refused += 1;
      if (error instanceof MeshError) this.#log.warn('certificate refused', { identity, error });
      else this.#log.error('certificate could not be issued', { identity, error });
      this.#send({ type: 'certificate-refused', id, ...refusalOf(error) });
    }
  }

  #issue(asked: string, csr: string): IssuedLeaf {
    const { state, requests, issue } = this.#deps;
    const refuse = (code: 'IDENTITY_INVALID' | 'IDENTITY_REFUSED', found: string): MeshError =>
      new MeshError(code, `Cannot issue a certificate for "${asked}": ${found}`);
    if (!requests.take(performance.now())) {
      throw new MeshError('LIMIT_REACHED', 'Cannot issue a certificate: too many requests');
    }
    const identity = parseIdentity(asked);
    if (identity === undefined) throw refuse('IDENTITY_INVALID', 'not a workload identity');
    if (!state.mayAsk(this.node, identity)) {
      throw refuse('IDENTITY_REFUSED', `no enrolled pod on the node "${this.node}" has it`);
    }
    const { uri, publicKey } = readRequest(csr);
    if (uri !== identity) throw refuse('IDENTITY_INVALID', 'the request names another');
    return issue(identity, publicKey);
  }

  #send(message: ControllerMessage): void {
    // A failure to send is heard of when the WebSocket closes.
    this.#deps.wire.send([JSON.stringify(message)]).catch(() => {});
  }
}

const LONGEST_REFUSAL = 1000;

/** What the agent may hear of it: our own trouble is not its business. */
function refusalOf(error: unknown): Pick<CertificateRefused, 'code' | 'message'> {
  const code =
    error instanceof MeshError ? REFUSAL_CODES.find((one) => one === error.code) : undefined;
  if (code === undefined || !(error instanceof Error)) {
    return { code: 'CERTIFICATE_NOT_ISSUED', message: 'Cannot issue a certificate: try again' };
  }
  const message = error.message.slice(0, LONGEST_REFUSAL).replaceAll(/\p{Cc}/gu, '?');
  return { code, message };
}

function outOfPlace(type: string): MeshError {
  return new MeshError('MESSAGE_INVALID', `Cannot take a message "${type}" at this point`);
}
