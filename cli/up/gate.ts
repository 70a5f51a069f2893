/**
 * Holds the processes of a pod back until the node's agent says that its traffic is captured and
 * proven, or that the pod is none of the mesh's business: what a CNI plugin does in a cluster.
 *
 * Nothing opens the gate but the agent's word. A pod that should be captured and cannot be does not
 * start; the reason is logged.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';

/** What the agent says of one pod (its admin path /proof), as far as it matters here. */
export interface PodProof {
  readonly podUid: string;
  readonly enrolled: boolean;
  readonly exemption: string;
  readonly proven: boolean;
  readonly reason: string;
}

export interface GateDeps {
  /** Asks the agent; rejects when it gives no answer. */
  readonly ask: () => Promise<string>;
  readonly log: Logger;
}

const POLL_MS = 60;
/** After this long without proof, and then again and again, somebody should know. */
const COMPLAIN_MS = 10_000;

interface Waiting {
  readonly pod: string;
  readonly open: () => void;
  readonly since: number;
  complained: number;
  reason: string;
}

export class CaptureGate {
  readonly #deps: GateDeps;
  readonly #waiting = new Map<string, Waiting>();
  readonly #stopped = new AbortController();
  #polling: Promise<void> | undefined;

  constructor(deps: GateDeps) {
    this.#deps = deps;
  }

  /** Calls `open` once the pod may start. */
  wait(podUid: string, pod: string, open: () => void): void {
    const since = performance.now();
    this.#waiting.set(podUid, { pod, open, since, complained: since, reason: 'unknown to it yet' });
    this.#polling ??= this.#poll().finally(() => (this.#polling = undefined));
  }

  forget(podUid: string): void {
    this.#waiting.delete(podUid);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#polling;
  }

  /** Never rejects. */
  async #poll(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#waiting.size > 0 && !signal.aborted) {
      try {
        this.#look(decodeProof(await this.#deps.ask()));
      } catch (error) {
        for (const one of this.#waiting.values()) one.reason = String(error);
      }
      this.#complain();
      await delay(POLL_MS, undefined, { signal }).catch(() => {});
    }
  }

  #look(rows: readonly PodProof[]): void {
    for (const row of rows) {
      const waiting = this.#waiting.get(row.podUid);
      if (waiting === undefined) continue;
      waiting.reason = row.reason;
      if (row.enrolled && !row.proven) continue;
      this.#waiting.delete(row.podUid);
      waiting.open();
    }
  }

  #complain(): void {
    const now = performance.now();
    for (const waiting of this.#waiting.values()) {
      if (now - waiting.complained < COMPLAIN_MS) continue;
      waiting.complained = now;
      this.#deps.log.warn('pod is held back: its capture is not proven', {
        pod: waiting.pod,
        reason: waiting.reason,
        seconds: Math.round((now - waiting.since) / 1000),
      });
    }
  }
}

/** Reads the agent's rows; a field that is not as expected never counts as proof. */
export function decodeProof(body: string): PodProof[] {
  const rows: unknown = JSON.parse(body);
  if (!Array.isArray(rows)) throw new TypeError('the agent did not answer with a list');
  return rows.map((row: unknown) => {
    const capture = fieldOf(row, 'capture');
    const problem = textOf(row, 'problem');
    return {
      podUid: textOf(row, 'podUid'),
      // Only a clear no lets a pod start without proof.
      enrolled: fieldOf(row, 'enrolled') !== false,
      exemption: textOf(row, 'exemption'),
      proven: fieldOf(capture, 'proven') === true,
      reason: problem === '' ? textOf(capture, 'reason') : problem,
    };
  });
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.entries(value).find(([key]) => key === name)?.[1];
}

function textOf(value: unknown, name: string): string {
  const found = fieldOf(value, name);
  return typeof found === 'string' ? found : '';
}
