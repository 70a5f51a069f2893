/**
 * The agent's end of the control channel: connected, or trying to be, from `start` to `stop`.
 *
 * What came is handed on one at a time and in order; an update is acknowledged once its handler has
 * returned. After a reconnect the controller goes on from what `resume()` says is in force. Reports
 * are kept and sent again on each connection, so the controller never misses one for good.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { backoffMs } from '../backoff.ts';
import { hasCode, MeshError } from '../errors.ts';
import type { Identity } from '../identity.ts';
import type { Part } from '../lifecycle.ts';
import type { Logger } from '../log.ts';
import type { MeshUpdate } from '../mesh/update.ts';
import type {
  AgentStatus,
  CertificateIssued,
  EnrolledNamespace,
  HeldLeaf,
  ProofRow,
  ResumePoint,
  Trust,
  Welcome,
} from './messages.ts';
import { Outbox } from './outbox.ts';
import { Session } from './session.ts';
import type { SocketOptions } from './socket.ts';

export interface ControlClientDeps {
  /** `wss://host:port`. */
  readonly url: string;
  readonly node: string;
  /** Of this agent process, unique. */
  readonly instance: string;
  /** Of the agent program. */
  readonly version: string;
  /** Both are asked before each attempt: files may have changed. */
  readonly token: () => Promise<string>;
  readonly roots: () => Promise<readonly string[]>;
  /** What this agent has in force; undefined when it has nothing. */
  readonly resume: () => ResumePoint | undefined;
  readonly onUpdate: (update: MeshUpdate, epoch: string) => void | Promise<void>;
  /** Resolves when the roots are in force everywhere; that is then acknowledged. */
  readonly onTrust: (trust: Trust) => void | Promise<void>;
  /** All namespaces that are enrolled, on each connection and after each change. */
  readonly onNamespaces?: (namespaces: readonly EnrolledNamespace[]) => void | Promise<void>;
  readonly onConnected?: (connected: boolean) => void;
  readonly log: Logger;
  readonly random?: () => number;
  readonly timing?: Pick<SocketOptions, 'pingIntervalMs' | 'silenceLimitMs'> & {
    readonly firstRetryMs?: number;
  };
}

export type ControlState =
  | { readonly state: 'connecting'; readonly failures: number; readonly lastError: string }
  | { readonly state: 'connected'; readonly sinceMs: number; readonly controller: Welcome };

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

export class ControlClient implements Part {
  readonly name = 'control';
  readonly #deps: ControlClientDeps;
  readonly #outbox = new Outbox();
  readonly #stop = new AbortController();
  #state: ControlState = { state: 'connecting', failures: 0, lastError: '' };
  /** After an update that could not be applied, only a snapshot is sure to help. */
  #startAfresh = false;
  #running: Promise<void> = Promise.resolve();
  /** Handlers run one after another, across connections. */
  #handled: Promise<void> = Promise.resolve();

  constructor(deps: ControlClientDeps) {
    this.#deps = deps;
  }

  get state(): ControlState {
    return this.#state;
  }

  async start(): Promise<void> {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    const reason = new MeshError('STOPPING', 'Cannot go on: the agent is stopping');
    this.#stop.abort(reason);
    this.#outbox.stop(reason);
    await this.#running;
    await this.#handled;
  }

  /** Asks for a certificate; waits for a connection, until `signal` aborts. */
  async requestCertificate(
    identity: Identity,
    csrPem: string,
    signal: AbortSignal,
  ): Promise<CertificateIssued> {
    return this.#outbox.request(identity, csrPem, signal);
  }

  /** Says which certificates are in use now. */
  reportLeaves(leaves: readonly HeldLeaf[]): void {
    this.#outbox.leaves(leaves);
  }

  /** Adds results of the capture proof to those reported. */
  reportProof(rows: readonly ProofRow[]): void {
    this.#outbox.proof(rows);
  }

  /** Drops what was reported of a pod that is gone. */
  forgetPod(podUid: string): void {
    this.#outbox.forgetPod(podUid);
  }

  reportStatus(status: AgentStatus): void {
    this.#outbox.status(status);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const { log, random = Math.random, timing } = this.#deps;
    const backoff = {
      firstMs: timing?.firstRetryMs ?? FIRST_RETRY_MS,
      longestMs: LONGEST_RETRY_MS,
    };
    let failures = 0;
    while (!signal.aborted) {
      const error = await this.#connectOnce(() => (failures = 0));
      if (signal.aborted) return;
      failures += 1;
      this.#startAfresh = hasCode(error, 'MESSAGE_INVALID');
      const waitMs = Math.round(backoffMs(failures, backoff, random()));
      this.#state = { state: 'connecting', failures, lastError: error.message };
      const level = hasCode(error, 'CONTROLLER_UNREACHABLE') ? 'warn' : 'error';
      log[level]('controller is away; known state stays in force', { error, failures, waitMs });
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Resolves with the reason when the connection has ended. */
  async #connectOnce(succeeded: () => void): Promise<MeshError> {
    // The state that `resume` reports must not move any more.
    await this.#handled;
    let token: string;
    let roots: readonly string[];
    try {
      [token, roots] = await Promise.all([this.#deps.token(), this.#deps.roots()]);
    } catch (cause) {
      const message = 'Cannot connect to the controller: token or roots cannot be read';
      return new MeshError('CONTROLLER_UNREACHABLE', message, { cause });
    }
    const beganAt = performance.now();
    const resume = this.#startAfresh ? () => undefined : this.#deps.resume;
    const session = new Session({ ...this.#deps, resume }, this.#outbox, {
      token,
      roots,
      handle: (work) => this.#handle(work),
      welcomed: (controller) => {
        this.#state = { state: 'connected', sinceMs: Date.now(), controller };
        this.#deps.onConnected?.(true);
      },
      settled: succeeded,
    });
    const reason = await session.ended(this.#stop.signal);
    if (this.#state.state === 'connected') this.#deps.onConnected?.(false);
    if (performance.now() - beganAt > LONGEST_RETRY_MS) succeeded();
    return reason;
  }

  async #handle(work: () => void | Promise<void>): Promise<void> {
    const done = this.#handled.then(work);
    this.#handled = done.catch(() => {});
    return done;
  }
}
