/**
 * What is known about the capture of one pod: where it stands, what was proven and when.
 *
 * `proven` says what the last probes showed, and `since` when it last became something else. A pod
 * whose rules somebody changes again and again is not proven, whatever its probes show in between.
 */
import type { Flavour } from './backend.ts';
import type { Capture, Enrolment } from './capture.ts';
import { type ProbeTarget, type ProofResult, summarize } from './proof.ts';
import type { CaptureWatch } from './watch.ts';

export interface CapturePod extends ProbeTarget {
  readonly namespace: string;
  readonly name: string;
}

export type CapturePhase = 'enrolling' | 'captured' | 'failed' | 'releasing';

export interface PodCaptureState {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly phase: CapturePhase;
  readonly flavour: Flavour | undefined;
  /** The other flavour of iptables, when it holds rules in the pod too. */
  readonly otherFlavour: Flavour | undefined;
  /** Undefined until it was probed. */
  readonly proven: boolean | undefined;
  /** Why not, when not. */
  readonly reason: string;
  /** When `proven` became what it is, in milliseconds since the epoch. */
  readonly since: number;
  /** When it was probed last; 0 for never. */
  readonly at: number;
  readonly results: readonly ProofResult[];
  /** Connections that stood before capture: left to end in clear, and cut. */
  readonly existing: number;
  readonly cut: number;
  readonly repairs: number;
  readonly udpPackets: number;
}

/** A pod of a `CaptureSet`; times are of the monotonic clock. */
export interface PodEntry {
  /** Its `netns` is a descriptor of our own: the caller's may be closed, and its number reused. */
  pod: CapturePod;
  readonly capture: Capture;
  phase: CapturePhase;
  watch: CaptureWatch | undefined;
  enrolment: Enrolment | undefined;
  results: readonly ProofResult[];
  proven: boolean | undefined;
  reason: string;
  since: number;
  at: number;
  repairs: number;
  /** When the last ones were, the latest at the end; no more than say that it is contested. */
  repairedAt: readonly number[];
  /** When its rules are read next although nothing seems to have changed. */
  readAt: number;
  proveAt: number;
  /** How long after a probe that proved nothing the next one is made. */
  proveAgainMs: number;
  retryMs: number;
  isBusy: boolean;
  /** Set while it is being probed. */
  proving: Promise<void> | undefined;
}

export const FIRST_RETRY_MS = 1000;
/** A pod that is not proven is probed again this soon, then at growing intervals. */
export const FIRST_PROVE_AGAIN_MS = 2000;

/** So many repairs within this time mean that somebody works against us. */
export const CONTESTED_REPAIRS = 3;
export const CONTESTED_MS = 30_000;
/** Repairs that are remembered, and so the most that a reason names. */
const MOST_REPAIRS = 100;

/** Counts a repair; `nowMs` is of the monotonic clock. */
export function noteRepair(entry: Pick<PodEntry, 'repairs' | 'repairedAt'>, nowMs: number): void {
  entry.repairs += 1;
  entry.repairedAt = [...recent(entry.repairedAt, nowMs), nowMs].slice(-MOST_REPAIRS);
}

/** Why a pod does not count as captured although its probes arrive; '' when nothing says so. */
export function contestedBy(repairedAt: readonly number[], nowMs: number): string {
  const count = recent(repairedAt, nowMs).length;
  if (count < CONTESTED_REPAIRS) return '';
  return `rules are changed by somebody else: ${count} repairs in the last ${CONTESTED_MS / 1000} s`;
}

function recent(repairedAt: readonly number[], nowMs: number): readonly number[] {
  return repairedAt.filter((at) => nowMs - at < CONTESTED_MS);
}

export function newEntry(pod: CapturePod, capture: Capture): PodEntry {
  return {
    pod,
    capture,
    phase: 'enrolling',
    watch: undefined,
    enrolment: undefined,
    results: [],
    proven: undefined,
    reason: 'not probed yet',
    since: Date.now(),
    at: 0,
    repairs: 0,
    repairedAt: [],
    readAt: 0,
    proveAt: 0,
    proveAgainMs: FIRST_PROVE_AGAIN_MS,
    retryMs: FIRST_RETRY_MS,
    isBusy: false,
    proving: undefined,
  };
}

/** The rules were repaired: what was proven before says nothing of them. */
export function forgetProof(entry: Pick<PodEntry, 'proven' | 'reason' | 'since'>): void {
  if (entry.proven !== true) return;
  entry.proven = undefined;
  entry.reason = 'repaired, and not probed since';
  entry.since = Date.now();
}

/** Writes down a verdict; returns whether it differs from the last one. */
export function recordVerdict(
  entry: PodEntry,
  verdict: { readonly captured: boolean; readonly reason: string },
): boolean {
  const isNew = entry.proven !== verdict.captured;
  entry.at = Date.now();
  if (isNew) entry.since = entry.at;
  entry.proven = verdict.captured;
  entry.reason = verdict.reason;
  return isNew;
}

/** Writes down what the probes showed; returns whether the verdict differs from the last one. */
export function recordProof(
  entry: PodEntry,
  results: readonly ProofResult[],
  nowMs: number,
): boolean {
  entry.results = results;
  const verdict = summarize(results);
  const contested = contestedBy(entry.repairedAt, nowMs);
  if (!verdict.captured || contested === '') return recordVerdict(entry, verdict);
  return recordVerdict(entry, { captured: false, reason: contested });
}

export function stateOf(entry: PodEntry): PodCaptureState {
  const { pod, capture, enrolment, phase, proven, reason, since, at, results, repairs } = entry;
  const { podUid, namespace, name } = pod;
  const named = { podUid, namespace, name, phase, proven, reason, since, at, results, repairs };
  return {
    ...named,
    flavour: enrolment?.flavour,
    otherFlavour: capture.otherFlavour,
    existing: enrolment?.existing ?? 0,
    cut: enrolment?.cut ?? 0,
    udpPackets: capture.udpPackets,
  };
}
