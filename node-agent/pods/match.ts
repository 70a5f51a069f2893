/**
 * Which network namespace belongs to which pod, from what each says of its addresses.
 *
 * An address is a weak sign: it goes to another pod the moment its pod ends, and the record of the
 * old one may stand a while longer. So what a pod was told by the runtime (through the CNI plugin)
 * counts before all; a pod that has a namespace keeps it, and one that lost it gets no other by its
 * old address; and where two pods or two namespaces have the same, nobody gets any. No answer is a wait, a wrong one
 * would be somebody else's identity.
 */

export interface Pin {
  /** Of this namespace alone. */
  readonly key: string;
  readonly addresses: readonly string[];
}

export interface MatchPod {
  readonly podUid: string;
  readonly addresses: readonly string[];
  /** It ends, and may have given its addresses back. Asked of few, since it costs a look-up. */
  readonly isEnding: () => boolean;
}

export interface Known {
  /** By the runtime, by pod. */
  readonly told: ReadonlyMap<string, string>;
  /** The last matching, by pod. */
  readonly before: ReadonlyMap<string, string>;
  /** Addresses with which a pod last had a namespace that is gone. */
  readonly lost: ReadonlyMap<string, readonly string[]>;
}

/** Returns the key of the namespace of each pod that has one for certain. */
export function matchPods(
  pins: readonly Pin[],
  pods: readonly MatchPod[],
  { told, before, lost }: Known,
): Map<string, string> {
  const byKey = new Map(pins.map((pin) => [pin.key, pin]));
  const matched = new Map<string, string>();
  const taken = new Set<string>();
  const give = (podUid: string, key: string): void => {
    matched.set(podUid, key);
    taken.add(key);
  };
  for (const [podUid, key] of told) if (byKey.has(key)) give(podUid, key);

  const places = new Map<string, Pin[]>();
  for (const pin of pins) {
    if (taken.has(pin.key)) continue;
    for (const address of pin.addresses) append(places, address, pin);
  }

  const claims = new Map<string, string[]>();
  for (const pod of pods) {
    if (matched.has(pod.podUid)) continue;
    if (byKey.has(before.get(pod.podUid) ?? '')) continue;
    if (sameAddresses(lost.get(pod.podUid), pod.addresses)) continue;
    const pin = only(pod.addresses.flatMap((address) => places.get(address) ?? []));
    if (pin !== undefined && !pod.isEnding()) append(claims, pin.key, pod.podUid);
  }
  for (const [key, claimants] of claims) {
    const [podUid] = claimants;
    // Who comes with an address knows better than who had it: records of the past only age.
    if (claimants.length === 1 && podUid !== undefined) give(podUid, key);
  }
  for (const [podUid, key] of before) {
    if (byKey.has(key) && !matched.has(podUid) && !taken.has(key)) give(podUid, key);
  }
  return matched;
}

/** The one that all are; undefined when there is none, or when they differ. */
function only(pins: readonly Pin[]): Pin | undefined {
  const [first] = pins;
  return pins.every((pin) => pin === first) ? first : undefined;
}

function sameAddresses(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((one) => b.includes(one));
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [item]);
  else list.push(item);
}
