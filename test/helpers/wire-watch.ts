/**
 * Reads every packet that crosses the wires between the nodes of a test, and looks for payload in clear.
 *
 * Applications of tests mark what they send with `MARKER`; a packet between nodes that holds it was
 * not encrypted. What the kernel dropped before we read it is counted too, so that "none seen" means
 * none.
 */
import { closeFd } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { openPacketSocket, receiveBytes } from '#common/sys/raw-sockets.ts';
import { setOption } from '#common/sys/socket-options.ts';
import { SOL_SOCKET } from '#common/sys/constants.ts';

/** In no protocol, and in no random byte string that anybody will live to see. */
export const MARKER = 'PLAIN-PAYLOAD-7f3a91';

const SO_RCVBUFFORCE = 33;
const BUFFER_BYTES = 64 << 20;
const READ_EVERY_MS = 5;

export interface WireReport {
  readonly packets: number;
  readonly inClear: number;
}

export class WireWatch {
  readonly #sockets: readonly number[];
  readonly #timer: NodeJS.Timeout;
  readonly #marker: string;
  #packets = 0;
  #inClear = 0;

  /** Listens on these interfaces of a network namespace: the ports of a switch between nodes. */
  constructor(netns: number, interfaces: readonly string[], marker = MARKER) {
    this.#marker = marker;
    this.#sockets = interfaces.map((name) => {
      const fd = inNetns(netns, () => openPacketSocket(name));
      if (fd < 0) throw new Error(`cannot watch ${name}: ${fd}`);
      setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
      return fd;
    });
    this.#timer = setInterval(() => this.#read(), READ_EVERY_MS);
  }

  /** What was seen until now. */
  report(): WireReport {
    this.#read();
    return { packets: this.#packets, inClear: this.#inClear };
  }

  stop(): WireReport {
    clearInterval(this.#timer);
    const report = this.report();
    for (const fd of this.#sockets) closeFd(fd);
    return report;
  }

  #read(): void {
    for (const fd of this.#sockets) {
      for (;;) {
        const packet = receiveBytes(fd);
        if (typeof packet === 'number') break;
        this.#packets += 1;
        if (packet.includes(this.#marker)) this.#inClear += 1;
      }
    }
  }
}
