/**
 * A question that is not ours on its way to a resolver and back, byte for byte.
 *
 * Each has a socket of its own, made in the pod's namespace and connected: the kernel then picks a
 * port that nobody can guess and drops what comes from elsewhere, and the identifier need not be
 * touched. Resolvers are tried in turn; when all are silent the asker gets nothing from here.
 */
import type { Loop, Task, Watcher } from '#common/engine/loop.ts';
import { connectTcp } from '#common/engine/tcp.ts';
import type { TcpSocket } from '#common/engine/tcp.ts';
import type { Timer } from '#common/engine/timers.ts';
import { SOCK_DGRAM } from '#common/sys/constants.ts';
import { closeFd, connect, recv, send } from '#common/sys/libc.ts';
import { newSlab, slabOf } from '#common/sys/slab.ts';
import { openOutgoing } from './sockets.ts';

export interface Resolver {
  readonly address: string;
  readonly port: number;
}

const RESOLVER_TIMEOUT_MS = 2_000;
const TCP_TIMEOUT_MS = 5_000;
const LONGEST_MESSAGE = 65_535;
const ID_BYTES = 2;

const slab = newSlab(LONGEST_MESSAGE + 2);

export interface UpstreamDeps {
  readonly loop: Loop;
  readonly netns: number;
  readonly resolvers: readonly Resolver[];
  readonly query: Buffer;
  /** Called once: with the answer, or without when there is none. The bytes are only lent. */
  readonly done: (answer: Buffer | undefined) => void;
}

/** Asks over UDP. */
export class UdpQuestion implements Watcher, Task {
  readonly #deps: UpstreamDeps;
  #next = 0;
  #fd = -1;
  #timer: Timer | undefined;

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
    this.run();
  }

  /** Asks the next resolver: at first, and whenever one has kept silent. */
  run(): void {
    this.#close();
    const { loop, netns, resolvers, query, done } = this.#deps;
    const resolver = resolvers[this.#next];
    this.#next += 1;
    if (resolver === undefined) {
      done(undefined);
      return;
    }
    this.#timer = loop.timers.after(RESOLVER_TIMEOUT_MS, this);
    this.#fd = openOutgoing(netns, resolver.address, SOCK_DGRAM);
    if (this.#fd < 0) return; // The timer goes on to the next one.
    connect(this.#fd, resolver.address, resolver.port);
    loop.add(this.#fd, this);
    send(this.#fd, slabOf(query), 0, query.length);
  }

  onEvents(): void {
    const n = recv(this.#fd, slab, 0, LONGEST_MESSAGE);
    if (n < ID_BYTES) return; // Refused, or nothing: the timer goes on to the next one.
    const { query, done } = this.#deps;
    if (slab.bytes.readUInt16BE(0) !== query.readUInt16BE(0)) return;
    this.#close();
    done(slab.bytes.subarray(0, n));
  }

  cancel(): void {
    this.#close();
  }

  #close(): void {
    if (this.#timer !== undefined) this.#deps.loop.timers.cancel(this.#timer);
    this.#timer = undefined;
    if (this.#fd < 0) return;
    this.#deps.loop.remove(this.#fd);
    closeFd(this.#fd);
    this.#fd = -1;
  }
}

/** Asks the first resolver over TCP, where a message stands behind its length. */
export class TcpQuestion {
  readonly #deps: UpstreamDeps;
  readonly #socket: TcpSocket | undefined;
  readonly #timer: Timer | undefined;
  #received: Buffer = Buffer.alloc(0);
  #isDone = false;

  constructor(deps: UpstreamDeps) {
    this.#deps = deps;
    const { loop, netns, query } = deps;
    const [resolver] = deps.resolvers;
    const fd = resolver === undefined ? -1 : openOutgoing(netns, resolver.address);
    if (resolver === undefined || fd < 0) {
      loop.soon({ run: () => this.#finish(undefined) });
      return;
    }
    const to = { ...resolver, timeoutMs: TCP_TIMEOUT_MS };
    this.#socket = connectTcp(loop, fd, to, {
      onReadable: () => this.#read(),
      onWritable: () => undefined,
      onClosed: () => this.#finish(undefined),
    });
    this.#timer = loop.timers.after(TCP_TIMEOUT_MS, { run: () => this.#finish(undefined) });
    const head = Buffer.allocUnsafeSlow(2);
    head.writeUInt16BE(query.length);
    this.#socket.write(head, 0, 2);
    this.#socket.write(query, 0, query.length);
  }

  cancel(): void {
    this.#isDone = true;
    this.#close();
  }

  #read(): void {
    for (;;) {
      const n = this.#socket?.recvInto(slab, 0, LONGEST_MESSAGE + 2) ?? 0;
      if (n === 0) {
        this.#finish(undefined);
        return;
      }
      if (n < 0) return;
      this.#received = Buffer.concat([this.#received, slab.bytes.subarray(0, n)]);
      if (this.#received.length < 2) continue;
      const length = this.#received.readUInt16BE(0);
      if (this.#received.length < 2 + length) continue;
      this.#finish(this.#received.subarray(2, 2 + length));
      return;
    }
  }

  #finish(answer: Buffer | undefined): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#close();
    this.#deps.done(answer);
  }

  #close(): void {
    if (this.#timer !== undefined) this.#deps.loop.timers.cancel(this.#timer);
    this.#socket?.destroy(false);
  }
}
