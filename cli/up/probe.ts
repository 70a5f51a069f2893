/**
 * Readiness and liveness probes, made from the node as a kubelet makes them.
 *
 * The sockets belong to the node's network namespace and to a process of the host, so the mesh
 * treats them as it treats a kubelet's: they are let through, also under STRICT.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Probe } from '#common/control/desired.ts';
import { connected, dial, httpGet } from './dial.ts';

/** Counts results against the thresholds. Pure. */
export class ProbeCount {
  readonly #probe: Pick<Probe, 'successThreshold' | 'failureThreshold'>;
  #passing: boolean;
  #run = 0;

  constructor(probe: Pick<Probe, 'successThreshold' | 'failureThreshold'>, passing: boolean) {
    this.#probe = probe;
    this.#passing = passing;
  }

  /** Takes a result and returns whether the probe passes now. */
  record(ok: boolean): boolean {
    this.#run = ok === this.#passing ? 0 : this.#run + 1;
    const needed = ok ? this.#probe.successThreshold : this.#probe.failureThreshold;
    if (this.#run >= needed) {
      this.#passing = ok;
      this.#run = 0;
    }
    return this.#passing;
  }
}

export interface ProbeTarget {
  /** The node's namespace. */
  readonly netns: number;
  /** The pod's. */
  readonly address: string;
}

/** Makes one attempt; returns what was wrong, or undefined when all is well. */
export async function probeOnce(
  probe: Probe,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { check } = probe;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(probe.timeoutSeconds * 1000)]);
  try {
    if (check.kind === 'tcp') {
      const socket = dial(target.netns, target.address, check.port);
      await connected(socket, limit).finally(() => socket.destroy());
      return undefined;
    }
    const headers = Object.fromEntries(check.headers.map(({ name, value }) => [name, value]));
    const call = { ...target, port: check.port, path: check.path, headers, signal: limit };
    const { status } = await httpGet(call);
    return status >= 200 && status < 400 ? undefined : `status ${status}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface ProbeLoop {
  readonly probe: Probe;
  readonly target: ProbeTarget;
  /** What the probe counts as before its first result. */
  readonly passing: boolean;
  /** Told each time the answer changes, with the reason of the last failure. */
  readonly onChange: (passing: boolean, reason: string) => void;
  readonly signal: AbortSignal;
}

/** Probes until `signal` fires. Never rejects. */
export async function runProbe(loop: ProbeLoop): Promise<void> {
  const { probe, signal } = loop;
  const count = new ProbeCount(probe, loop.passing);
  let passing = loop.passing;
  let waitMs = probe.initialDelaySeconds * 1000;
  while (await pause(waitMs, signal)) {
    const wrong = await probeOnce(probe, loop.target, signal);
    if (signal.aborted) return;
    const now = count.record(wrong === undefined);
    if (now !== passing) loop.onChange(now, wrong ?? '');
    passing = now;
    waitMs = (passing ? probe.periodSeconds : retrySeconds(probe)) * 1000;
  }
}

/** Until it passes a pod is asked more often: nobody wants to wait ten seconds for a demonstration. */
function retrySeconds(probe: Probe): number {
  return Math.min(probe.periodSeconds, 0.25);
}

/** Resolves to false when `signal` fires first. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  return delay(ms, true, { signal }).catch(() => false);
}
