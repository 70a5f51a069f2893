/**
 * Which addresses the nodes and pods of a world have.
 *
 * Node n is 10.16.0.n and fd16::n; its pods are 10.(64+n).x.y and fd00:n::m. The switch, where the
 * controller listens, is 10.16.0.254. Nothing overlaps with the services (10.32.0.0/16 and
 * fd00:32::/112). An address that became free is the last to be given again, as in a cluster.
 */
import { MeshError } from '#common/errors.ts';

export const MOST_NODES = 128;
export const SWITCH_ADDRESSES = ['10.16.0.254', 'fd16::ffff'] as const;

/** Below are the node's own end of the bridge and room for what people add by hand. */
const FIRST_HOST = 10;
const LAST_HOST = 0xfffe;

export interface NodePlan {
  readonly number: number;
  readonly address4: string;
  readonly address6: string;
  /** Of the bridge that its pods hang on; their default gateway. */
  readonly gateway4: string;
  readonly gateway6: string;
  readonly pods4: string;
  readonly pods6: string;
}

export function planNode(number: number): NodePlan {
  if (number < 1 || number > MOST_NODES) {
    throw new MeshError('LIMIT_REACHED', `Cannot add a node: there are ${MOST_NODES} already`);
  }
  return {
    number,
    address4: `10.16.0.${number}`,
    address6: `fd16::${number.toString(16)}`,
    gateway4: `10.${64 + number}.0.1`,
    gateway6: `fd00:${podPrefix(number)}::1`,
    pods4: `10.${64 + number}.0.0/16`,
    pods6: `fd00:${podPrefix(number)}::/64`,
  };
}

export interface PodAddresses {
  readonly address4: string;
  readonly address6: string;
}

export function podAddresses(node: NodePlan, host: number): PodAddresses {
  return {
    address4: `10.${64 + node.number}.${host >> 8}.${host & 255}`,
    address6: `fd00:${podPrefix(node.number)}::${host.toString(16)}`,
  };
}

/** fd00:32:: is where the services are, so the pods' prefixes begin above. */
function podPrefix(number: number): string {
  return (0x100 + number).toString(16);
}

/** Gives out the host parts of one node's pods. */
export class HostNumbers {
  readonly #used = new Set<number>();
  #next = FIRST_HOST;

  take(): number {
    for (let tried = FIRST_HOST; tried <= LAST_HOST; tried += 1) {
      const host = this.#next;
      this.#next = host === LAST_HOST ? FIRST_HOST : host + 1;
      // .0 and .255 are addresses like others in a /16, but confuse people and some stacks.
      if (this.#used.has(host) || (host & 255) === 0 || (host & 255) === 255) continue;
      this.#used.add(host);
      return host;
    }
    throw new MeshError('LIMIT_REACHED', 'Cannot add a pod: the node has no address left');
  }

  free(host: number): void {
    this.#used.delete(host);
  }
}
