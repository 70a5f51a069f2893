/**
 * How a pod joins the mesh and leaves it: its namespace found, listeners opened in it, its traffic
 * captured; and the way back, with its connections drained.
 *
 * The namespace of a pod is held open from joining to leaving, so that nothing of another pod can
 * take its number meanwhile.
 */
import { MeshError } from '#common/errors.ts';
import { identityOf, type Identity } from '#common/identity.ts';
import { closeNetns } from '#common/sys/netns.ts';
import type { LocalPod } from '#common/mesh/workload.ts';
import type { CaptureSet } from './capture/capture-set.ts';
import type { HostRules } from './capture/host-rules.ts';
import type { CapturePod } from './capture/pod-capture.ts';
import type { DataPlane } from './data/data-plane.ts';
import type { DnsOptions, Listener } from './data/messages.ts';
import type { PodSteps } from './pod-set.ts';
import type { PodNamespaces, PodNetns } from './pods/namespaces.ts';

export interface PodStepsDeps {
  readonly trustDomain: string;
  readonly namespaces: PodNamespaces;
  readonly dataPlane: DataPlane;
  readonly captures: CaptureSet;
  readonly hostRules: HostRules;
  readonly dns: DnsOptions;
  readonly drainMs: number;
  /** Listeners of a predecessor, by pod; each is given out once. */
  readonly inherited: Map<string, readonly Listener[]>;
  /** A pod has left, drained and all. */
  readonly onLeft: () => void;
}

const NETNS_LOOK_MS = 100;
/** Then it counts as a failure, which is shown, and is tried again. */
const NETNS_WAIT_MS = 10_000;

export class PodJourney implements PodSteps {
  readonly #deps: PodStepsDeps;
  readonly #netns = new Map<string, PodNetns>();
  readonly #identities = new Map<string, Identity>();

  constructor(deps: PodStepsDeps) {
    this.#deps = deps;
  }

  /** Of pods that are served, those included that still drain. */
  get identities(): Iterable<Identity> {
    return this.#identities.values();
  }

  identityOf(pod: LocalPod): Identity {
    return identityOf(this.#deps.trustDomain, pod.namespace, pod.serviceAccount);
  }

  readonly join = async (pod: LocalPod, signal: AbortSignal): Promise<void> => {
    await this.#leaveReplaced(pod.podUid);
    const netns = this.#netns.get(pod.podUid) ?? (await this.#find(pod.podUid, signal));
    for (const { podUid, identity } of this.#netns.values()) {
      if (identity === netns.identity && podUid !== pod.podUid) await this.#drop(podUid);
    }
    this.#netns.set(pod.podUid, netns);
    const known = withAddresses(pod, netns);
    await this.#deps.captures.enrol(capturePod(known, netns.fd), () =>
      this.#listen(known, netns.fd),
    );
  };

  /** Which namespace a pod has joined in; undefined when it has not. */
  namespaceOf(podUid: string): string | undefined {
    return this.#netns.get(podUid)?.identity;
  }

  /** The pods whose namespace is another one by now than the one in which they are captured. */
  moved(found: ReadonlyMap<string, string>): string[] {
    const owners = new Map(Array.from(found, ([podUid, identity]) => [identity, podUid]));
    return Array.from(this.#netns.values())
      .filter(
        ({ podUid, identity }) =>
          (found.get(podUid) ?? identity) !== identity ||
          (owners.get(identity) ?? podUid) !== podUid,
      )
      .map(({ podUid }) => podUid);
  }

  readonly change = async (pod: LocalPod): Promise<void> => {
    const netns = this.#netns.get(pod.podUid);
    if (netns === undefined) throw new TypeError(`pod "${pod.podUid}" has not joined`);
    const known = withAddresses(pod, netns);
    this.#listen(known, netns.fd);
    await this.#deps.captures.update(capturePod(known, netns.fd));
  };

  readonly leave = async (pod: LocalPod, gone: boolean): Promise<void> => {
    const { captures, hostRules, dataPlane, drainMs } = this.#deps;
    const { podUid } = pod;
    const drain = async (): Promise<void> => dataPlane.removePod(podUid, drainMs);
    // Only a pod that is asked to leave is let go. One that nobody speaks of any more may still run
    // (deleted by force, or ending late): its rules stay, so that it cannot go on in clear.
    if (!gone && captures.state(podUid) !== undefined) await captures.release(podUid, drain);
    else {
      captures.forget(podUid);
      await hostRules.remove(podUid);
      await drain();
    }
    this.#close(podUid);
    this.#deps.onLeft();
  };

  readonly clean = async (pod: LocalPod): Promise<void> => {
    const { captures, hostRules, namespaces } = this.#deps;
    await hostRules.remove(pod.podUid);
    const found = namespaces.list().has(pod.podUid) ? namespaces.open(pod.podUid) : undefined;
    if (found === undefined) return;
    try {
      await captures.clean(capturePod(pod, found.fd));
    } finally {
      closeNetns(found.fd);
    }
  };

  /** A sandbox that was made anew: what is held of the old one serves nobody. */
  async #leaveReplaced(podUid: string): Promise<void> {
    const isMoved = this.moved(this.#deps.namespaces.list()).includes(podUid);
    if (isMoved) await this.#drop(podUid);
  }

  async #drop(podUid: string): Promise<void> {
    const { captures, dataPlane } = this.#deps;
    captures.forget(podUid);
    await dataPlane.removePod(podUid, 0);
    this.#close(podUid);
  }

  #close(podUid: string): void {
    const netns = this.#netns.get(podUid);
    this.#netns.delete(podUid);
    this.#identities.delete(podUid);
    if (netns !== undefined) closeNetns(netns.fd);
  }

  #listen(pod: LocalPod, netns: number): void {
    const { inherited, dataPlane, dns } = this.#deps;
    const listeners = inherited.get(pod.podUid);
    inherited.delete(pod.podUid);
    this.#identities.set(pod.podUid, this.identityOf(pod));
    dataPlane.addPod({
      podUid: pod.podUid,
      uid: pod.uid,
      identity: this.identityOf(pod),
      addresses: pod.addresses,
      netns,
      options: pod.options.dnsCapture ? { dns } : {},
      ...(listeners === undefined ? {} : { listeners }),
    });
  }

  /** A pod is known before its namespace is made; it appears within moments or not at all. */
  async #find(podUid: string, signal: AbortSignal): Promise<PodNetns> {
    const deadline = performance.now() + NETNS_WAIT_MS;
    while (performance.now() < deadline) {
      const found = this.#deps.namespaces.open(podUid);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, NETNS_LOOK_MS));
      signal.throwIfAborted();
    }
    const seconds = NETNS_WAIT_MS / 1000;
    throw new MeshError(
      'NETNS_NOT_FOUND',
      `Cannot find the network namespace of pod "${podUid}" within ${seconds} s`,
    );
  }
}

/** A pod that starts has addresses before anybody has told the controller. */
function withAddresses(pod: LocalPod, { addresses }: PodNetns): LocalPod {
  return pod.addresses.length > 0 ? pod : { ...pod, addresses };
}

function capturePod(pod: LocalPod, netns: number): CapturePod {
  const { podUid, namespace, name, addresses, options } = pod;
  return { podUid, namespace, name, addresses, options, netns };
}
