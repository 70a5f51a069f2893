/**
 * Proves that a pod is captured: real connections through the capture path, whose arrival at the
 * agent is what counts.
 *
 * A probe outward goes to a documentation address that leads nowhere, without the agent's mark; one
 * inward comes from the node to the pod's address, with it. A worker that accepts one reports it;
 * nothing is carried. A token serves one connection, from the port that the probe has, for two
 * seconds.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { cidrContains, type Family, familyOf, parseAddress, parseCidr } from '#common/address.ts';
import type { CaptureOptions } from '#common/mesh/workload.ts';
import { ECONNREFUSED, EINPROGRESS, errnoName } from '#common/sys/constants.ts';
import { closeFd, connect, localOf, peerOf, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { mark, setReset, socketError } from '#common/sys/socket-options.ts';
import { AGENT_MARK, CAPTURE_PORTS } from './rules.ts';

export type ProofDirection = 'outbound' | 'inbound';

export interface ProofResult {
  readonly podUid: string;
  readonly direction: ProofDirection;
  readonly family: Family;
  readonly outcome: 'captured' | 'not-captured' | 'not-applicable';
  /** Empty when captured. */
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface ProbeTarget {
  readonly podUid: string;
  readonly netns: number;
  readonly addresses: readonly string[];
  readonly options: CaptureOptions;
}

/** What a worker must expect before the probe begins. */
export interface ProbeToken {
  readonly podUid: string;
  readonly address: string;
  readonly port: number;
}

export interface ProbeArrival extends ProbeToken {
  readonly direction: ProofDirection;
  readonly sourcePort: number;
}

export interface ProverDeps {
  /** Resolves when every worker will report a connection to this token. */
  readonly expect: (token: ProbeToken) => Promise<void>;
  readonly forget: (token: ProbeToken) => void;
  /** The node's network namespace; the agent's own when left out. */
  readonly nodeNetns?: number;
  readonly timeoutMs?: number;
}

export const PROBE_TIMEOUT_MS = 2000;

interface Outstanding {
  readonly token: ProbeToken;
  readonly direction: ProofDirection;
  readonly sourcePort: number;
  readonly arrived: PromiseWithResolvers<void>;
}

export class Prover {
  readonly #deps: ProverDeps;
  readonly #timeoutMs: number;
  readonly #outstanding = new Map<string, Outstanding>();

  constructor(deps: ProverDeps) {
    this.#deps = deps;
    this.#timeoutMs = deps.timeoutMs ?? PROBE_TIMEOUT_MS;
  }

  /** Probes both directions and both families at once; there are four results, in this order. */
  async probe(pod: ProbeTarget): Promise<readonly ProofResult[]> {
    const ways = (['outbound', 'inbound'] as const).flatMap((direction) =>
      ([4, 6] as const).map((family) => ({ direction, family })),
    );
    return Promise.all(
      ways.map(async ({ direction, family }) => {
        const verdict = await this.#probeOne(pod, direction, family);
        return { podUid: pod.podUid, direction, family, ...verdict, at: Date.now() };
      }),
    );
  }

  /** Takes a worker's report; false when no probe of ours can have caused it. */
  arrived(arrival: ProbeArrival): boolean {
    const key = keyOf(arrival);
    const found = this.#outstanding.get(key);
    if (found?.direction !== arrival.direction || found.sourcePort !== arrival.sourcePort) {
      return false;
    }
    this.#outstanding.delete(key);
    found.arrived.resolve();
    return true;
  }

  async #probeOne(pod: ProbeTarget, direction: ProofDirection, family: Family): Promise<Verdict> {
    const address =
      direction === 'outbound'
        ? documentationAddress(family, pod.options)
        : pod.addresses.find((candidate) => familyOf(candidate) === family);
    if (address === undefined) {
      return notApplicable(direction === 'outbound' ? 'excluded from capture' : 'no such address');
    }
    const excluded =
      direction === 'outbound' ? pod.options.excludeOutboundPorts : pod.options.excludeInboundPorts;
    const token = { podUid: pod.podUid, address, port: tokenPort(excluded) };
    await this.#deps.expect(token);
    try {
      return await this.#connect(token, direction, this.#socket(pod, direction, family));
    } finally {
      this.#deps.forget(token);
      this.#outstanding.delete(keyOf(token));
    }
  }

  #socket(pod: ProbeTarget, direction: ProofDirection, family: Family): number {
    if (direction === 'outbound') return inNetns(pod.netns, () => socket(family));
    const { nodeNetns } = this.#deps;
    const fd = nodeNetns === undefined ? socket(family) : inNetns(nodeNetns, () => socket(family));
    // Without the mark the node would take it for a probe of its own, which passes by the agent.
    if (fd >= 0) mark(fd, AGENT_MARK);
    return fd;
  }

  async #connect(token: ProbeToken, direction: ProofDirection, fd: number): Promise<Verdict> {
    if (fd < 0) return notApplicable(`no socket of this family: ${errnoName(fd)}`);
    try {
      const began = connect(fd, token.address, token.port);
      if (began === -ECONNREFUSED) return notCaptured(REFUSED);
      if (began < 0 && began !== -EINPROGRESS) {
        return notApplicable(`no route: ${errnoName(began)}`);
      }
      const sourcePort = localOf(fd)?.port ?? 0;
      const arrived = Promise.withResolvers<void>();
      this.#outstanding.set(keyOf(token), { token, direction, sourcePort, arrived });
      return await this.#wait(fd, arrived.promise);
    } finally {
      setReset(fd);
      closeFd(fd);
    }
  }

  async #wait(fd: number, arrived: Promise<void>): Promise<Verdict> {
    const done = arrived.then((): Verdict => ({ outcome: 'captured', reason: '' }));
    const deadline = performance.now() + this.#timeoutMs;
    while (performance.now() < deadline) {
      const tick = delay(POLL_MS, undefined);
      const verdict = await Promise.race([done, tick]);
      if (verdict !== undefined) return verdict;
      const error = socketError(fd);
      if (error === ECONNREFUSED) return notCaptured(REFUSED);
      if (error > 0) return notCaptured(`it ended with ${errnoName(error)}`);
    }
    const isConnected = peerOf(fd) !== undefined;
    return notCaptured(isConnected ? 'somebody else took it' : 'nobody answered');
  }
}

/** How often a probe that has not arrived is asked whether it was refused. */
const POLL_MS = 100;

const REFUSED = 'it was refused: the fence is shut, or the agent does not listen';

interface Verdict {
  readonly outcome: ProofResult['outcome'];
  readonly reason: string;
}

function notCaptured(reason: string): Verdict {
  return { outcome: 'not-captured', reason };
}

function notApplicable(reason: string): Verdict {
  return { outcome: 'not-applicable', reason };
}

function keyOf({ podUid, address, port }: ProbeToken): string {
  return `${podUid} ${address} ${port}`;
}

/** One of 192.0.2.0/24 or 2001:db8::/112 that the pod does not exclude; undefined when it does. */
function documentationAddress(family: Family, options: CaptureOptions): string | undefined {
  const last = randomInt(1, 255);
  const address = family === 4 ? `192.0.2.${last}` : `2001:db8::${last.toString(16)}`;
  const bytes = parseAddress(address);
  const excluded = options.excludeOutboundCidrs.some((text) => {
    const cidr = parseCidr(text);
    return bytes !== undefined && cidr !== undefined && cidrContains(cidr, bytes);
  });
  return excluded ? undefined : address;
}

/** High enough that no service is there by custom, and none of the agent's own. */
function tokenPort(excluded: readonly number[]): number {
  const own = Object.values(CAPTURE_PORTS);
  for (;;) {
    const port = randomInt(FIRST_TOKEN_PORT, LAST_TOKEN_PORT + 1);
    if (!excluded.includes(port) && !own.includes(port)) return port;
  }
}

const FIRST_TOKEN_PORT = 16_000;
const LAST_TOKEN_PORT = 65_535;

/** What the four results say together: captured when nothing speaks against it and something for. */
export function summarize(results: readonly ProofResult[]): {
  readonly captured: boolean;
  readonly reason: string;
} {
  const against = results.filter(({ outcome }) => outcome === 'not-captured');
  if (against.length > 0) {
    const reasons = against.map(
      ({ direction, family, reason }) => `${direction} IPv${family}: ${reason}`,
    );
    return { captured: false, reason: reasons.join('; ') };
  }
  const captured = results.some(({ outcome }) => outcome === 'captured');
  return { captured, reason: captured ? '' : 'nothing could be probed' };
}
