/**
 * How an agent takes over from its predecessor: the listeners at its start, the live connections when
 * it serves all pods. The conversation is drawn in handover.ts.
 *
 * Nothing is read from or written to a connection before the predecessor has said `yours`. One that
 * does not answer in time is given up: what it said until then counts, and from then on it can say
 * nothing more, so a connection has one owner whatever happens.
 */
import type { Logger } from '#common/log.ts';
import { ECONNREFUSED, ENOENT, errnoName } from '#common/sys/constants.ts';
import { closeFd } from '#common/sys/libc.ts';
import { connectUnix, unixSocket } from '#common/sys/unix-socket.ts';
import type { PodListeners } from './data/data-plane.ts';
import { STATE_FORMAT } from './data/handover-state.ts';
import { hurry } from './data/hurry.ts';
import type { GivenPart, Taking } from './data/live-handover.ts';
import type { Listener, Service } from './data/messages.ts';
import { failed, Link } from './handover-link.ts';
import type { Message } from './handover-link.ts';

const SERVICES: readonly Service[] = ['outbound', 'inbound', 'tunnel', 'dns-tcp', 'dns-udp'];
/** A machine that was too busy once may not be so a moment later. */
const ATTEMPTS = 3;

export interface TakeoverOptions {
  /** For each step of the predecessor's. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export interface LiveDeps {
  /** The pods that are served here. */
  readonly podUids: readonly string[];
  readonly take: (parts: readonly GivenPart[]) => Promise<Taking>;
}

/** `yours`: ours now. `kept`: the predecessor's still. `done`: there is no more. */
type Outcome = 'yours' | 'kept' | 'cannot' | 'done';

/** The successor's side; undefined when there is no predecessor. Throws `HANDOVER_FAILED`. */
export async function takeOver(
  path: string,
  options: TakeoverOptions,
): Promise<Takeover | undefined> {
  const fd = unixSocket();
  if (fd < 0) throw failed(`cannot make a socket: ${errnoName(-fd)}`);
  const connected = connectUnix(fd, path);
  if (connected < 0) {
    closeFd(fd);
    if (connected === -ENOENT || connected === -ECONNREFUSED) return undefined;
    throw failed(`cannot connect to "${path}": ${errnoName(-connected)}`);
  }
  const takeover = new Takeover(new Link(fd, options.signal), options);
  try {
    await takeover.receiveListeners();
  } catch (error) {
    takeover.cancel();
    throw error;
  }
  return takeover;
}

export class Takeover {
  readonly pods: PodListeners[] = [];
  readonly #link: Link;
  readonly #options: TakeoverOptions;
  /** The form in which the predecessor writes connections; undefined when it gives none. */
  #theirs: unknown;
  #isOver = false;

  constructor(link: Link, options: TakeoverOptions) {
    this.#link = link;
    this.#options = options;
  }

  async receiveListeners(): Promise<void> {
    const { timeoutMs } = this.#options;
    await this.#link.send({ ask: 'take' });
    const { message } = await this.#link.receive(timeoutMs);
    const count = message['pods'];
    this.#theirs = message['state'];
    if (typeof count !== 'number') throw failed('the predecessor does not say how many pods');
    while (this.pods.length < count) {
      const received = await this.#link.receive(timeoutMs);
      this.pods.push(readPod(received.message, received.descriptors));
    }
  }

  /** Gives the listeners back; the predecessor goes on as it was. */
  cancel(): void {
    for (const { listeners } of this.pods) for (const { fd } of listeners) closeFd(fd);
    this.#end();
  }

  /** The listeners are served here, and nothing more is wanted: the predecessor drains. */
  async confirm(): Promise<void> {
    if (this.#isOver) return;
    try {
      await this.#link.send({ ask: 'took' });
    } catch (error) {
      this.#options.log.warn('the predecessor has gone', { error });
    } finally {
      this.#end();
    }
  }

  /**
   * Takes up the live connections. Resolves when they are served here, or when it is clear that they
   * stay where they are; `rest` resolves when the predecessor has no more to give.
   */
  async live(deps: LiveDeps): Promise<{ readonly rest: Promise<void> }> {
    const { log, timeoutMs } = this.#options;
    const calm = hurry();
    try {
      if (this.#theirs !== STATE_FORMAT) this.#tellOfForm();
      for (let attempt = 0; attempt < ATTEMPTS && this.#theirs === STATE_FORMAT; attempt += 1) {
        await this.#link.send({ ask: 'give', state: STATE_FORMAT, pods: deps.podUids });
        const outcome = await this.#round(deps, timeoutMs);
        if (outcome === 'yours') return { rest: this.#takeRest(deps) };
        if (outcome === 'cannot') break;
      }
    } catch (error) {
      log.warn('live connections stay with the predecessor', { error });
    } finally {
      calm();
    }
    await this.confirm();
    return { rest: Promise.resolve() };
  }

  /** The predecessor says by itself what it can give later. */
  async #takeRest(deps: LiveDeps): Promise<void> {
    try {
      for (;;) if ((await this.#round(deps, Infinity)) === 'done') break;
    } catch (error) {
      this.#options.log.warn('the predecessor has left before it was done', { error });
    }
    this.#end();
  }

  async #round(deps: LiveDeps, withinMs: number): Promise<Outcome> {
    const { log, timeoutMs } = this.#options;
    const { message, descriptors: memory } = await this.#link.receive(withinMs);
    const { round, parts: counts, cannot, kept, done } = message;
    if (typeof round !== 'number' || !areCounts(counts) || 2 * counts.length !== memory.length) {
      for (const fd of memory) closeFd(fd);
      if (done === true) return 'done';
      if (kept !== undefined) return 'kept';
      if (cannot === undefined) throw failed('a round is described wrongly');
      this.#theirs = message['state'];
      this.#tellOfForm();
      return 'cannot';
    }
    const taking = await this.#receiveRound(deps, counts, memory);
    let isOurs = false;
    try {
      isOurs = await this.#isYours(round, taking, timeoutMs);
    } finally {
      await taking.settle(isOurs);
    }
    if (isOurs) log.info('connections taken over', { units: taking.units, round });
    return isOurs ? 'yours' : 'kept';
  }

  async #receiveRound(
    { take }: LiveDeps,
    counts: readonly number[],
    memory: readonly number[],
  ): Promise<Taking> {
    const total = counts.reduce((sum, count) => sum + count, 0);
    let all: number[];
    try {
      all = await this.#link.receiveAll(total, this.#options.timeoutMs);
    } catch (error) {
      for (const fd of memory) closeFd(fd);
      throw error;
    }
    let used = 0;
    const parts = counts.map((count, i): GivenPart => {
      const from = used;
      used += count;
      const [units = -1, bytes = -1] = memory.slice(2 * i, 2 * i + 2);
      return { memory: units, bytes, descriptors: all.slice(from, used) };
    });
    return take(parts);
  }

  /** All stands ready; asks for it, and waits for the word. */
  async #isYours(round: number, { problem }: Taking, timeoutMs: number): Promise<boolean> {
    if (problem !== '') {
      this.#options.log.warn('connections cannot be taken up here', { round, problem });
      await this.#link.send({ ask: 'failed', round });
    } else await this.#link.send({ ask: 'restored', round });
    try {
      const { message } = await this.#link.receive(timeoutMs);
      return message['yours'] === round;
    } catch (error) {
      this.#options.log.warn('the predecessor is given up', { error });
      return this.#wasSaid(round);
    }
  }

  /** Ends the conversation, and looks whether the word had come by then. */
  async #wasSaid(round: number): Promise<boolean> {
    await this.#link.send({ ask: 'took' }).catch(() => undefined);
    this.#link.shut();
    let said = false;
    try {
      for (let one = this.#link.receiveNow(); one !== undefined; one = this.#link.receiveNow()) {
        if (one.message['yours'] === round) said = true;
      }
    } catch {
      // Nothing more has come.
    }
    this.#end();
    return said;
  }

  #tellOfForm(): void {
    this.#options.log.warn('connections of the predecessor cannot be read here; they drain there', {
      theirs: this.#theirs,
      ours: STATE_FORMAT,
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#link.close();
  }
}

function readPod({ podUid, services }: Message, descriptors: readonly number[]): PodListeners {
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

function areCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((one) => Number.isSafeInteger(one) && one >= 0);
}
