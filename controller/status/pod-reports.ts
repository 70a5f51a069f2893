/**
 * Keeps the condition `plumbline.dev/Captured` of pods as their agents report it, and warns by Event of
 * those that are not captured.
 *
 * Written by the replica to which the pod's agent reports, so one at a time writes for a pod. Only a
 * verdict that differs is written, and one that stays the same once in a long while, for its time.
 */
import type { ProofReport } from '#common/control/reports.ts';
import type { PodName, PodStatus } from '../kube/pod-status.ts';
import { CAPTURED } from '../model/names.ts';
import { capturedOf, sameVerdict, type CapturedVerdict } from './captured.ts';
import type { WriteQueue } from './write-queue.ts';

export interface PodReportsDeps {
  readonly pods: PodStatus;
  readonly queue: WriteQueue;
  /** All rows of a pod, as the board has them. */
  readonly rowsOf: (podUid: string) => readonly ProofReport[];
  readonly now?: () => number;
}

/** How old the time of the last proof may be in the condition. */
const REFRESH_MS = 30 * 60_000;
/** The same warning about a pod is not repeated sooner. */
const WARN_AGAIN_MS = 10 * 60_000;
const MOST_KNOWN = 200_000;

interface Known {
  readonly verdict: CapturedVerdict;
  /** Since when it is true, or false; undefined when somebody else wrote that. */
  readonly sinceMs: number | undefined;
  readonly writtenMs: number;
}

export class PodReports {
  readonly #deps: PodReportsDeps;
  readonly #now: () => number;
  /** What this replica wrote last, or has asked to be written. */
  readonly #known = new Map<string, Known>();
  /** Uids of the pods that the API server has as captured, whoever wrote it. */
  readonly #captured = new Set<string>();
  readonly #warnedMs = new Map<string, number>();

  constructor(deps: PodReportsDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
  }

  /** Takes new rows; several of one pod count once. */
  take(rows: readonly ProofReport[]): void {
    const byUid = new Map(rows.map((row) => [row.podUid, row]));
    for (const { podUid, namespace, name } of byUid.values()) {
      this.#look({ podUid, namespace, name });
    }
  }

  /** Says what the API server has of a pod. */
  seen(podUid: string, isCaptured: boolean): void {
    if (isCaptured) this.#captured.add(podUid);
    else this.#captured.delete(podUid);
  }

  /** The pod is gone. */
  forget(podUid: string): void {
    this.#known.delete(podUid);
    this.#captured.delete(podUid);
    this.#warnedMs.delete(podUid);
    this.#deps.queue.forget(`condition ${podUid}`);
  }

  /** The pod has left the mesh: nothing is said of its capture any more. */
  withdraw(pod: PodName): void {
    const { queue, pods } = this.#deps;
    const isKnown = this.#known.delete(pod.podUid);
    if (!isKnown && !this.#captured.has(pod.podUid)) return;
    queue.put(`condition ${pod.podUid}`, async (signal) =>
      pods.removeCondition(pod, CAPTURED, signal),
    );
  }

  /** Warns of a pod that is not captured, for whatever reason. */
  warn(pod: PodName, reason: string, message: string): void {
    const nowMs = this.#now();
    const key = pod.podUid;
    if (nowMs - (this.#warnedMs.get(key) ?? Number.NEGATIVE_INFINITY) < WARN_AGAIN_MS) return;
    if (this.#warnedMs.size >= MOST_KNOWN) this.#warnedMs.clear();
    this.#warnedMs.set(key, nowMs);
    const { queue, pods } = this.#deps;
    queue.put(`event ${key}`, async (signal) => pods.warn(pod, { reason, message }, signal));
  }

  #look(pod: PodName): void {
    const verdict = capturedOf(this.#deps.rowsOf(pod.podUid));
    if (verdict === undefined) return;
    const { isCaptured, reason, message } = verdict;
    if (!isCaptured) this.warn(pod, 'NotCaptured', `Traffic is not captured: ${message}`);
    const nowMs = this.#now();
    const known = this.#known.get(pod.podUid);
    const wasCaptured = this.#captured.has(pod.podUid);
    const saysSame = known === undefined ? isCaptured : sameVerdict(known.verdict, verdict);
    const isOld = known !== undefined && nowMs - known.writtenMs >= REFRESH_MS;
    if (saysSame && wasCaptured === isCaptured && !isOld) return;
    const wasSame = known?.verdict.isCaptured ?? wasCaptured;
    const sinceMs = wasSame === isCaptured ? known?.sinceMs : nowMs;
    this.#know(pod.podUid, { verdict, sinceMs, writtenMs: nowMs });
    const condition = {
      type: CAPTURED,
      status: isCaptured ? ('True' as const) : ('False' as const),
      reason,
      message,
      probedMs: verdict.provenMs,
      changedMs: sinceMs,
    };
    const { queue, pods } = this.#deps;
    queue.put(`condition ${pod.podUid}`, async (signal) =>
      pods.setCondition(pod, condition, signal),
    );
  }

  #know(podUid: string, known: Known): void {
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(podUid, known);
  }
}
