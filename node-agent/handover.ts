/**
 * How an agent gives its listeners to its successor, so that no connection is refused or lost.
 *
 * The very descriptors go over (SCM_RIGHTS), with the connections that wait in their queues. Until
 * the successor has said that it serves them the predecessor goes on accepting, so there is a server
 * at every moment; a hand-over that is cut leaves the predecessor as it was. Both ends check that the
 * other runs as the same user. The format has a version: who cannot read it says so and takes
 * nothing.
 *
 *   successor                         predecessor
 *   {handover:1, ask:"take"}    ──▶
 *                               ◀──  {handover:1, pods:N}
 *                               ◀──  {podUid, services:[…]} + descriptors     N times
 *   {handover:1, ask:"took"}    ──▶  stops accepting, drains, ends
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { EAGAIN, ENOENT, ECONNREFUSED, errnoName } from '#common/sys/constants.ts';
import { accept, closeFd, listen } from '#common/sys/libc.ts';
import {
  bindUnix,
  connectUnix,
  peerCredentials,
  receiveDescriptors,
  sendDescriptors,
  unixSocket,
  type Received,
} from '#common/sys/unix-socket.ts';
import type { PodListeners } from './data/data-plane.ts';
import type { Listener, Service } from './data/messages.ts';

const FORMAT = 1;
/** Node's loop cannot wait for such sockets; while a hand-over is under way we look this often. */
const POLL_MS = 25;
/** For a successor to come; each look wakes the main thread, and some message waits for that. */
const ACCEPT_POLL_MS = 250;
const STEP_DEADLINE_MS = 10_000;
const SERVICES: readonly Service[] = ['outbound', 'inbound', 'tunnel', 'dns-tcp', 'dns-udp'];

export interface HandoverDeps {
  readonly path: string;
  readonly log: Logger;
  /** The listeners as they are now. */
  readonly listeners: () => readonly PodListeners[];
  /** The successor serves them: stop accepting, drain, end. */
  readonly taken: () => void;
}

/** The predecessor's side: waits for a successor. */
export class HandoverServer {
  readonly name = 'hand-over socket';
  readonly #deps: HandoverDeps;
  readonly #stopped = new AbortController();
  #fd = -1;

  constructor(deps: HandoverDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { path } = this.#deps;
    rmSync(path, { force: true });
    this.#fd = check(unixSocket(), 'make a socket');
    check(bindUnix(this.#fd, path), `bind "${path}"`);
    check(listen(this.#fd), `listen on "${path}"`);
    void this.#serve();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    if (this.#fd >= 0) closeFd(this.#fd);
    this.#fd = -1;
  }

  async #serve(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const fd = accept(this.#fd);
      if (fd < 0) {
        await pause(signal, ACCEPT_POLL_MS);
        continue;
      }
      try {
        if (await this.#give(fd, signal)) return;
      } catch (error) {
        this.#deps.log.warn('hand-over failed; this agent goes on', { error });
      } finally {
        closeFd(fd);
      }
    }
  }

  async #give(fd: number, signal: AbortSignal): Promise<boolean> {
    checkPeer(fd);
    if ((await ask(fd, signal)) !== 'take') return false;
    const pods = this.#deps.listeners();
    send(fd, { handover: FORMAT, pods: pods.length }, []);
    for (const { podUid, listeners } of pods) {
      const services = listeners.map(({ service }) => service);
      send(
        fd,
        { podUid, services },
        listeners.map((listener) => listener.fd),
      );
    }
    if ((await ask(fd, signal)) !== 'took') return false;
    this.#deps.log.info('a successor took the listeners', { pods: pods.length });
    this.#deps.taken();
    return true;
  }
}

export interface Takeover {
  readonly pods: readonly PodListeners[];
  /** Say it once all of them are served here; the predecessor then stops accepting. */
  readonly confirm: () => void;
  /** Give everything back; the predecessor goes on as it was. */
  readonly cancel: () => void;
}

/** The successor's side; undefined when there is no predecessor. Throws `HANDOVER_FAILED`. */
export async function takeOver(path: string, signal: AbortSignal): Promise<Takeover | undefined> {
  const fd = check(unixSocket(), 'make a socket');
  const connected = connectUnix(fd, path);
  if (connected === -ENOENT || connected === -ECONNREFUSED) {
    closeFd(fd);
    return undefined;
  }
  const pods: PodListeners[] = [];
  const cancel = (): void => {
    for (const { listeners } of pods) for (const listener of listeners) closeFd(listener.fd);
    closeFd(fd);
  };
  try {
    check(connected, `connect to "${path}"`);
    checkPeer(fd);
    send(fd, { handover: FORMAT, ask: 'take' }, []);
    const head = parse((await receive(fd, signal)).payload);
    if (head['handover'] !== FORMAT || typeof head['pods'] !== 'number') {
      throw failed(`the predecessor speaks format "${String(head['handover'])}", not ${FORMAT}`);
    }
    for (let left = head['pods']; left > 0; left -= 1)
      pods.push(readPod(await receive(fd, signal)));
  } catch (error) {
    cancel();
    throw error;
  }
  return {
    pods,
    cancel,
    confirm: () => {
      send(fd, { handover: FORMAT, ask: 'took' }, []);
      closeFd(fd);
    },
  };
}

function readPod({ payload, descriptors }: Received): PodListeners {
  const { podUid, services } = parse(payload);
  const listeners: Listener[] = [];
  if (
    typeof podUid !== 'string' ||
    !Array.isArray(services) ||
    services.length !== descriptors.length
  ) {
    for (const fd of descriptors) closeFd(fd);
    throw failed('a pod is described wrongly');
  }
  for (const [i, fd] of descriptors.entries()) {
    const service = SERVICES.find((one) => one === services[i]);
    if (service === undefined) closeFd(fd);
    else listeners.push({ service, fd });
  }
  return { podUid, listeners };
}

async function ask(fd: number, signal: AbortSignal): Promise<unknown> {
  const { payload, descriptors } = await receive(fd, signal);
  for (const descriptor of descriptors) closeFd(descriptor);
  const message = parse(payload);
  if (message['handover'] !== FORMAT)
    throw failed(`the successor speaks format "${String(message['handover'])}", not ${FORMAT}`);
  return message['ask'];
}

async function receive(fd: number, signal: AbortSignal): Promise<Received> {
  const deadline = Date.now() + STEP_DEADLINE_MS;
  while (Date.now() < deadline) {
    const received = receiveDescriptors(fd);
    if (typeof received !== 'number') {
      if (received.payload.length === 0) throw failed('the other side closed the socket');
      return received;
    }
    if (received !== -EAGAIN) throw failed(`receiving failed with ${errnoName(-received)}`);
    await pause(signal);
    signal.throwIfAborted();
  }
  throw failed(`no answer within ${STEP_DEADLINE_MS / 1000} s`);
}

function send(fd: number, message: object, descriptors: readonly number[]): void {
  check(sendDescriptors(fd, Buffer.from(JSON.stringify(message)), descriptors), 'send');
}

function parse(payload: Buffer): Record<string, unknown> {
  const message: unknown = JSON.parse(payload.toString('utf8'));
  if (typeof message !== 'object' || message === null) throw failed('a message is no object');
  return { ...message };
}

function checkPeer(fd: number): void {
  const peer = peerCredentials(fd);
  if (peer === undefined || peer.uid !== process.getuid?.()) {
    throw failed(`the other side runs as user ${peer?.uid ?? 'unknown'}`);
  }
}

function check(result: number, attempt: string): number {
  if (result >= 0) return result;
  throw failed(`cannot ${attempt}: ${errnoName(-result)}`);
}

function failed(found: string): MeshError {
  return new MeshError('HANDOVER_FAILED', `Cannot hand the listeners over: ${found}`);
}

async function pause(signal: AbortSignal, ms = POLL_MS): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
