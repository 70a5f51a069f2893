/** Writes one condition of a pod, and Events about it, if it is still that pod. */
import { createHash } from 'node:crypto';
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const PODS: Resource = { group: '', version: 'v1', plural: 'pods' };
const EVENTS: Resource = { group: '', version: 'v1', plural: 'events' };

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly podUid: string;
}

export interface PodCondition {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  readonly probedMs: number;
  /** Undefined when that is not known: what was written stays. */
  readonly changedMs: number | undefined;
}

export interface PodEvent {
  readonly reason: string;
  readonly message: string;
}

interface PodObject {
  readonly metadata?: {
    readonly uid?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

const MIRROR = 'kubernetes.io/config.mirror';

/** What may be written about pods. */
export interface PodStatus {
  /** Resolves also when the pod is gone, or another has taken its name. */
  setCondition(pod: PodName, condition: PodCondition, signal: AbortSignal): Promise<void>;
  removeCondition(pod: PodName, type: string, signal: AbortSignal): Promise<void>;
  /** A warning; one that was written before is counted up. */
  warn(pod: PodName, event: PodEvent, signal: AbortSignal): Promise<void>;
}

export class KubePodStatus implements PodStatus {
  readonly #api: ApiClient;
  readonly #replica: string;

  constructor(api: ApiClient, replica: string) {
    this.#api = api;
    this.#replica = replica;
  }

  async setCondition(pod: PodName, condition: PodCondition, signal: AbortSignal): Promise<void> {
    const { type, status, reason, message, probedMs, changedMs } = condition;
    const lastProbeTime = timeOf(probedMs);
    await this.#patch(pod, signal, {
      type,
      status,
      reason,
      message,
      lastProbeTime,
      ...(changedMs === undefined ? {} : { lastTransitionTime: timeOf(changedMs) }),
    });
  }

  async removeCondition(pod: PodName, type: string, signal: AbortSignal): Promise<void> {
    await this.#patch(pod, signal, { type, $patch: 'delete' });
  }

  async warn(pod: PodName, { reason, message }: PodEvent, signal: AbortSignal): Promise<void> {
    const { namespace, name, podUid } = pod;
    const id = createHash('sha256').update(`${podUid} ${reason} ${message}`).digest('hex');
    const eventName = `${name.slice(0, 200)}.${id.slice(0, 16)}`;
    const now = timeOf(Date.now());
    const at = { namespace, name: eventName };
    try {
      const body = {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: at,
        involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid: podUid },
        type: 'Warning',
        reason,
        message,
        source: { component: 'plumbline-controller' },
        reportingComponent: 'plumbline.dev/controller',
        reportingInstance: this.#replica,
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      };
      await this.#api.create(EVENTS, namespace, body, { signal });
    } catch (error) {
      if (statusOf(error) !== 409) throw error;
      const found = await this.#api.get<{ count?: number }>(EVENTS, at, { signal });
      const body = { count: (found?.count ?? 0) + 1, lastTimestamp: now };
      await this.#api.patch(EVENTS, at, { kind: 'merge', body }, { signal });
    }
  }

  async #patch(pod: PodName, signal: AbortSignal, condition: object): Promise<void> {
    const { namespace, name, podUid } = pod;
    const at = { namespace, name, subresource: 'status' };
    // A uid that is another's is refused as a conflict.
    const patch = async (uid: string): Promise<boolean> => {
      const body = { metadata: { uid }, status: { conditions: [condition] } };
      try {
        await this.#api.patch(PODS, at, { kind: 'strategic', body }, { signal });
        return true;
      } catch (error) {
        if (![404, 409].includes(statusOf(error))) throw error;
        return false;
      }
    };
    if (await patch(podUid)) return;
    // A static pod goes by the uid of its kubelet; the API server has given it another.
    const found = await this.#api.get<PodObject>(PODS, { namespace, name }, { signal });
    const { uid, annotations } = found?.metadata ?? {};
    if (uid !== undefined && annotations?.[MIRROR] === podUid) await patch(uid);
  }
}

/** Kubernetes' Time. */
function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
