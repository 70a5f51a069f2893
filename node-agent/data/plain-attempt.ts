/**
 * One try to connect in the clear from inside a pod's namespace: it ends once, well or not.
 *
 * Who is asked is the kernel alone; whether plain is right was decided before.
 */
import { connectTcp } from '#common/engine/tcp.ts';
import type { TcpOwner, TcpSocket } from '#common/engine/tcp.ts';
import { MeshError } from '#common/errors.ts';
import { formatEndpoint } from '#common/address.ts';
import { errnoName } from '#common/sys/constants.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import * as limits from './limits.ts';
import type { Pod } from './pod.ts';

export interface PlainAttemptOwner {
  /** The socket's events are the caller's from here on. */
  onPlainConnected(server: TcpSocket): void;
  onNotConnected(error: MeshError): void;
}

export class PlainAttempt implements TcpOwner {
  readonly #to: Endpoint;
  readonly #pod: Pod;
  readonly #owner: PlainAttemptOwner;
  #server: TcpSocket | undefined;
  #isOver = false;

  constructor(pod: Pod, to: Endpoint, owner: PlainAttemptOwner) {
    this.#pod = pod;
    this.#to = to;
    this.#owner = owner;
  }

  /** Connects by the socket `fd`, or tells of the negated errno in its place. */
  begin(fd: number): void {
    if (fd < 0) this.#fail(this.#failure(errnoName(fd)));
    else {
      const to = { ...this.#to, timeoutMs: limits.CONNECT_TIMEOUT_MS };
      this.#server = connectTcp(this.#pod.shared.loop, fd, to, this);
    }
  }

  /** Gives up; the owner hears nothing more. */
  cancel(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#server?.destroy(true);
  }

  onConnected(): void {
    if (this.#isOver || this.#server === undefined) return;
    this.#isOver = true;
    this.#owner.onPlainConnected(this.#server);
  }

  onReadable(): void {
    // What comes before there is a relay stays in the kernel; the relay reads first of all.
  }

  onWritable(): void {
    // Nothing is written before there is a relay.
  }

  onClosed(error: MeshError | undefined): void {
    this.#fail(error ?? this.#failure('closed'));
  }

  #fail(error: MeshError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#owner.onNotConnected(error);
  }

  #failure(found: string): MeshError {
    const target = formatEndpoint(this.#to.address, this.#to.port);
    return new MeshError('CONNECT_FAILED', `Cannot connect to "${target}": ${found}`, {
      details: { target },
    });
  }
}
