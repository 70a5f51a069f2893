/**
 * What crosses between the nodes, looked at from outside: a packet socket on each node's port of the
 * switch, and a count of how often certain texts appear in what it sees.
 *
 * It sees every frame or says that it missed some (`dropped`), so a count of zero means something. A
 * text that is known to cross in clear must be seen as well, or the watcher proves nothing.
 */
import { inNetns } from '#common/sys/netns.ts';
import { openPacketSocket, receiveBytes } from '#common/sys/raw-sockets.ts';
import { closeFd } from '#common/sys/libc.ts';
import { getOptionBytes, setOption } from '#common/sys/socket-options.ts';
import { errnoName } from '#common/sys/constants.ts';
import { MeshError } from '#common/errors.ts';

const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_RCVBUF = 8;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const BUFFER_BYTES = 32 << 20;
const LOOK_EVERY_MS = 10;

export interface Port {
  readonly netns: number;
  readonly interfaceName: string;
}

export class WireWatch {
  readonly #sockets: number[];
  readonly #markers: readonly Buffer[];
  readonly #seen: number[];
  readonly #timer: NodeJS.Timeout;
  #frames = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(ports: readonly Port[], markers: readonly string[]) {
    this.#markers = markers.map((marker) => Buffer.from(marker));
    this.#seen = markers.map(() => 0);
    this.#sockets = ports.map(openPort);
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS);
  }

  get frames(): number {
    return this.#frames;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Frames that the kernel had no room for, so that nobody looked at them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** How many frames held this marker. */
  seen(marker: string): number {
    const at = this.#markers.findIndex((one) => one.equals(Buffer.from(marker)));
    return this.#seen[at] ?? 0;
  }

  /** Takes in all that has come. */
  look(): void {
    for (const fd of this.#sockets) {
      for (let frame = receiveBytes(fd); typeof frame !== 'number'; frame = receiveBytes(fd)) {
        this.#count(frame);
      }
      // Reading the statistics sets them to zero.
      this.#dropped += statisticsOf(fd)?.readUInt32LE(4) ?? 0;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    this.look();
    for (const fd of this.#sockets.splice(0)) closeFd(fd);
  }

  #count(frame: Buffer): void {
    this.#frames += 1;
    this.#bytes += frame.length;
    for (const [i, marker] of this.#markers.entries()) {
      if (frame.includes(marker)) this.#seen[i] = (this.#seen[i] ?? 0) + 1;
    }
  }
}

function statisticsOf(fd: number): Buffer | undefined {
  const statistics = getOptionBytes(fd, SOL_PACKET, PACKET_STATISTICS);
  return statistics === undefined || statistics.length < 8 ? undefined : statistics;
}

function openPort({ netns, interfaceName }: Port): number {
  const fd = inNetns(netns, () => openPacketSocket(interfaceName));
  if (fd < 0) {
    throw new MeshError(
      'SYSTEM_CALL_FAILED',
      `Cannot watch "${interfaceName}": ${errnoName(fd)} for a packet socket`,
    );
  }
  // The second is capped by net.core.rmem_max, but needs no privilege in the first namespace.
  if (setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) < 0) {
    setOption(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
  }
  return fd;
}
