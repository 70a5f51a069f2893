/**
 * What an agent has to say to the controller, kept while there is no connection.
 *
 * Reports are states, not events: the newest of each kind is kept, and all of them are sent again on
 * every new connection. Certificate requests wait here until they are answered or given up.
 */
import { MeshError } from '../errors.ts';
import type { Identity } from '../identity.ts';
import type {
  AgentMessage,
  AgentStatus,
  CertificateIssued,
  CertificateRefused,
  CertificateRequest,
  HeldLeaf,
  ProofRow,
} from './messages.ts';

/** Rows in one proof message: 500 of 400 bytes stay below the 256 KiB of a message. */
const ROWS_PER_MESSAGE = 400;

interface Pending {
  readonly message: CertificateRequest;
  readonly answer: PromiseWithResolvers<CertificateIssued>;
}

type Send = (message: AgentMessage) => void;

export class Outbox {
  readonly #pending = new Map<number, Pending>();
  /** By pod, then by direction and family. */
  readonly #proof = new Map<string, Map<string, ProofRow>>();
  #leaves: readonly HeldLeaf[] | undefined;
  #status: AgentStatus | undefined;
  #generation: number | undefined;
  #nextId = 1;
  #send: Send | undefined;

  /** A connection stands: everything is said again. */
  attach(send: Send): void {
    this.#send = send;
    if (this.#generation !== undefined) this.trustApplied(this.#generation);
    if (this.#leaves !== undefined) this.leaves(this.#leaves);
    if (this.#status !== undefined) this.status(this.#status);
    this.#sendRows([...this.#proof.values()].flatMap((rows) => [...rows.values()]));
    for (const { message } of this.#pending.values()) send(message);
  }

  detach(): void {
    this.#send = undefined;
  }

  /** Nothing will be answered any more. */
  stop(reason: MeshError): void {
    for (const { answer } of this.#pending.values()) answer.reject(reason);
  }

  async request(identity: Identity, csr: string, signal: AbortSignal): Promise<CertificateIssued> {
    signal.throwIfAborted();
    const id = this.#nextId++;
    const message: CertificateRequest = { type: 'certificate-request', id, identity, csr };
    const answer = Promise.withResolvers<CertificateIssued>();
    const giveUp = (): void => answer.reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    this.#pending.set(id, { message, answer });
    this.#send?.(message);
    try {
      return await answer.promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      this.#pending.delete(id);
    }
  }

  /** An answer came; one that nobody waits for any more is dropped. */
  answered(message: CertificateIssued | CertificateRefused): void {
    const waiting = this.#pending.get(message.id);
    if (message.type === 'certificate') waiting?.answer.resolve(message);
    else waiting?.answer.reject(new MeshError(message.code, message.message));
  }

  trustApplied(generation: number): void {
    this.#generation = generation;
    this.#send?.({ type: 'trust-applied', generation });
  }

  leaves(leaves: readonly HeldLeaf[]): void {
    this.#leaves = leaves;
    this.#send?.({ type: 'leaves', leaves });
  }

  status(status: AgentStatus): void {
    this.#status = status;
    this.#send?.({ type: 'status', status });
  }

  proof(rows: readonly ProofRow[]): void {
    for (const row of rows) {
      const ofPod = this.#proof.get(row.podUid) ?? new Map<string, ProofRow>();
      this.#proof.set(row.podUid, ofPod.set(`${row.direction} ${row.family}`, row));
    }
    this.#sendRows(rows);
  }

  forgetPod(podUid: string): void {
    this.#proof.delete(podUid);
  }

  #sendRows(rows: readonly ProofRow[]): void {
    for (let at = 0; at < rows.length; at += ROWS_PER_MESSAGE) {
      this.#send?.({ type: 'proof', rows: rows.slice(at, at + ROWS_PER_MESSAGE) });
    }
  }
}
