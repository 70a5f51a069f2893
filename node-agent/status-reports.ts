/** Tells the controller how this agent is: at once what is proven, now and then the rest. */
import type { ControlClient } from '#common/control/client.ts';
import type { LocalPod } from '#common/mesh/workload.ts';
import type { PodCaptureState } from './capture/pod-capture.ts';
import type { PodState } from './pod-set.ts';

export interface StatusReportsDeps {
  readonly control: Pick<ControlClient, 'reportProof' | 'reportStatus' | 'forgetPod'>;
  readonly startedAtMs: number;
  readonly waitingFor: () => readonly string[];
  readonly pods: () => readonly PodState[];
  readonly proven: () => number;
  readonly connections: () => number;
}

const EVERY_MS = 5000;

export class StatusReports {
  readonly #deps: StatusReportsDeps;
  readonly #known = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: StatusReportsDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setInterval(() => this.now(), EVERY_MS).unref();
    this.now();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  now(): void {
    const { startedAtMs, waitingFor, pods, proven, connections, control } = this.#deps;
    control.reportStatus({
      ready: waitingFor().length === 0,
      waitingFor: waitingFor(),
      startedAtMs,
      podsLabelled: pods().filter(({ enrolled }) => enrolled).length,
      podsProven: proven(),
      connections: connections(),
    });
  }

  /** New results of one pod's proof. */
  proof({ podUid, namespace, name, results }: PodCaptureState): void {
    this.#deps.control.reportProof(
      results.map(({ direction, family, outcome, reason, at: atMs }) => {
        return { podUid, namespace, name, direction, family, outcome, reason, atMs };
      }),
    );
    this.now();
  }

  /** Which pods there are now; what was reported of others is dropped. */
  pods(pods: readonly LocalPod[]): void {
    const there = new Set(pods.map(({ podUid }) => podUid));
    for (const podUid of this.#known) if (!there.has(podUid)) this.#deps.control.forgetPod(podUid);
    this.#known.clear();
    for (const podUid of there) this.#known.add(podUid);
  }
}
