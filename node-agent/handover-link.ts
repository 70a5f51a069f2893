/**
 * What two agents of one node say to each other over the hand-over socket: JSON, with descriptors.
 *
 * Both ends check that the other runs as the same user before they believe or send anything: what
 * crosses are keys and connections. Node's loop cannot wait for such sockets, so they are looked at
 * again and again; often while something is under way, seldom when it takes long.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '#common/errors.ts';
import { EAGAIN, errnoName } from '#common/sys/constants.ts';
import { closeFd, shutdownBoth } from '#common/sys/libc.ts';
import {
  MAX_DESCRIPTORS,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
} from '#common/sys/unix-socket.ts';

/** Version of the conversation; that of the connections' state is another (handover-state.ts). */
export const FORMAT = 1;

/** A look costs a microsecond. */
const BUSY_LOOK_MS = 1;
const BUSY_FOR_MS = 3_000;
const IDLE_LOOK_MS = 25;

export type Message = Readonly<Record<string, unknown>>;

export class Link {
  readonly #fd: number;
  readonly #signal: AbortSignal;

  /** Takes over the descriptor; throws `HANDOVER_FAILED` when a stranger is at the other end. */
  constructor(fd: number, signal: AbortSignal) {
    this.#fd = fd;
    this.#signal = signal;
    const peer = peerCredentials(fd);
    if (peer?.uid === process.getuid?.()) return;
    closeFd(fd);
    throw failed(`the other side runs as user ${peer?.uid ?? 'unknown'}`);
  }

  /** At most `MAX_DESCRIPTORS`; they stay open here as well. */
  async send(message: Message, descriptors: readonly number[] = []): Promise<void> {
    const payload = Buffer.from(JSON.stringify({ handover: FORMAT, ...message }));
    const deadline = performance.now() + BUSY_FOR_MS;
    for (;;) {
      const sent = sendDescriptors(this.#fd, payload, descriptors);
      if (sent >= 0) return;
      if (sent !== -EAGAIN) throw failed(`sending failed with ${errnoName(-sent)}`);
      if (performance.now() > deadline) throw failed('the other side does not read');
      await pause(BUSY_LOOK_MS, this.#signal);
    }
  }

  /** Sends as many descriptors as there are, in messages of their own. */
  async sendAll(descriptors: readonly number[]): Promise<void> {
    for (let at = 0; at < descriptors.length; at += MAX_DESCRIPTORS) {
      await this.send({ more: true }, descriptors.slice(at, at + MAX_DESCRIPTORS));
    }
  }

  /** Receives so many. On failure none of them stays open. */
  async receiveAll(count: number, withinMs: number): Promise<number[]> {
    const all: number[] = [];
    try {
      while (all.length < count) {
        const { message, descriptors } = await this.receive(withinMs);
        all.push(...descriptors);
        if (message['more'] !== true || descriptors.length === 0 || all.length > count) {
          throw failed('descriptors came that do not belong here');
        }
      }
      return all;
    } catch (error) {
      for (const fd of all) closeFd(fd);
      throw error;
    }
  }

  async receive(withinMs: number): Promise<{ message: Message; descriptors: readonly number[] }> {
    const since = performance.now();
    for (;;) {
      const received = this.receiveNow();
      if (received !== undefined) return received;
      const waited = performance.now() - since;
      if (waited >= withinMs) throw failed(`no answer within ${withinMs / 1000} s`);
      await pause(waited < BUSY_FOR_MS ? BUSY_LOOK_MS : IDLE_LOOK_MS, this.#signal);
      this.#signal.throwIfAborted();
    }
  }

  /** What has come already, or undefined. */
  receiveNow(): { message: Message; descriptors: readonly number[] } | undefined {
    const received = receiveDescriptors(this.#fd);
    if (received === -EAGAIN) return undefined;
    if (typeof received === 'number') throw failed(`receiving failed with ${errnoName(-received)}`);
    const { payload, descriptors } = received;
    if (payload.length === 0) throw failed('the other side closed the socket');
    try {
      return { message: parse(payload), descriptors };
    } catch (error) {
      for (const fd of descriptors) closeFd(fd);
      throw error;
    }
  }

  /** From here on nothing more can come; what has come before can still be received. */
  shut(): void {
    shutdownBoth(this.#fd);
  }

  close(): void {
    closeFd(this.#fd);
  }
}

function parse(payload: Buffer): Message {
  const message: unknown = JSON.parse(payload.toString('utf8'));
  if (typeof message !== 'object' || message === null) throw failed('a message is no object');
  const { handover, ...rest }: Message = { ...message };
  if (handover !== FORMAT) throw failed(`it speaks format "${String(handover)}", not ${FORMAT}`);
  return rest;
}

export function failed(found: string): MeshError {
  return new MeshError('HANDOVER_FAILED', `Cannot hand over: ${found}`);
}

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
