/** UDP sockets inside namespaces, with where a datagram came from. */
import { SOCK_DGRAM } from '#common/sys/constants.ts';
import { bind, closeFd, recvFrom, sendTo, socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { whenReadable } from '#common/sys/raw-sockets.ts';
import { newSlab } from '#common/sys/slab.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';

interface Test {
  after(undo: () => void | Promise<void>): void;
}

export interface Datagram {
  readonly bytes: Buffer;
  readonly from: Endpoint;
}

const LONGEST = 65_535;
const slab = newSlab(LONGEST);

export class PodUdp {
  readonly #fd: number;

  /** `at` is where it listens; the kernel chooses otherwise. */
  constructor(t: Test, netns: number, family: 4 | 6, at?: Endpoint) {
    this.#fd = inNetns(netns, () => socket(family, SOCK_DGRAM));
    if (at !== undefined) {
      const bound = bind(this.#fd, at.address, at.port);
      if (bound < 0) throw new Error(`cannot bind ${at.address}:${at.port}: ${bound}`);
    }
    t.after(() => void closeFd(this.#fd));
  }

  send(bytes: Uint8Array, to: Endpoint): void {
    slab.bytes.set(bytes);
    sendTo(this.#fd, slab, bytes.length, to);
  }

  /** Waits for the next datagram; rejects when none comes. */
  async receive(timeoutMs = 3000): Promise<Datagram> {
    if (!(await whenReadable(this.#fd, timeoutMs))) throw new Error('no datagram came');
    const { length, from } = recvFrom(this.#fd, slab);
    if (length < 0 || from === undefined) throw new Error(`cannot receive: ${length}`);
    return { bytes: Buffer.from(slab.bytes.subarray(0, length)), from };
  }
}
