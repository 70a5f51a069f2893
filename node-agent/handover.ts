/**
 * How an agent gives what it has to its successor, so that no connection is refused, lost or cut.
 *
 * First the listeners, by their very descriptors (SCM_RIGHTS) with what waits in their queues: both
 * agents accept from then on. When the successor serves all pods it asks for the live connections:
 * the workers here stand still and hand over what they have open. Until the successor has said that
 * it holds everything, and has been told `yours`, all of it is this agent's; from `yours` on it never
 * touches it again. If anything goes wrong before that, the workers here go on as if nothing had
 * been. What was in the middle of something (a handshake) is handed over in later rounds.
 *
 *   successor                              predecessor
 *   {ask:"take"}                     ──▶
 *                                    ◀──   {pods:N, state:1}, {podUid, services} + descriptors, N times
 *   {ask:"give", state:1, pods}      ──▶   stands still
 *                                    ◀──   {round, parts} + files with the state, then descriptors
 *   {ask:"restored", round}          ──▶
 *                                    ◀──   {yours:round}; goes on with the rest, gives it in rounds
 *                                    ◀──   {done:true}, drains, ends
 *   {ask:"took"}: listeners alone are wanted or left: stop accepting, drain, end.
 */
import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '#common/log.ts';
import { errnoName } from '#common/sys/constants.ts';
import { accept, closeFd, listen } from '#common/sys/libc.ts';
import { bindUnix, unixSocket } from '#common/sys/unix-socket.ts';
import type { PodListeners } from './data/data-plane.ts';
import { STATE_FORMAT } from './data/handover-state.ts';
import { hurry } from './data/hurry.ts';
import type { Giving } from './data/live-handover.ts';
import { failed, Link, pause } from './handover-link.ts';
import type { Message } from './handover-link.ts';

/** For a successor to come; each look wakes the main thread, and some message waits for that. */
const ACCEPT_LOOK_MS = 250;
/** A successor that starts on a busy machine needs a while to serve all pods. */
const START_DEADLINE_MS = 60_000;
/** How long connections stand still for a successor that does not answer. */
const HOLD_MS = 2_000;
/** What is in the middle of a handshake now is not a moment later. */
const ROUND_EVERY_MS = 100;

export interface HandoverDeps {
  readonly path: string;
  readonly log: Logger;
  /** What a successor starts from is on disk. */
  readonly prepare: () => Promise<void>;
  /** Somebody begins to take over, or has given it up. */
  readonly taking: (isTaking: boolean) => void;
  /** The listeners as they are now. */
  readonly listeners: () => readonly PodListeners[];
  /** Makes the workers stand still with what they have open in these pods. */
  readonly give: (podUids: readonly string[]) => Promise<Giving>;
  /** The successor serves the pods: stop accepting. */
  readonly given: () => Promise<void>;
  /** Connections and tunnels that are still open here. */
  readonly left: () => number;
  /** How long what is left may go on here. */
  readonly drainMs: number;
  /** Nothing more is handed over: drain, end. */
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
        await pause(ACCEPT_LOOK_MS, signal);
        continue;
      }
      if (await this.#succeeded(fd, signal)) {
        this.#deps.taken();
        return;
      }
      if (!signal.aborted) this.#deps.taking(false);
    }
  }

  /** Whether whoever called has become the successor. */
  async #succeeded(fd: number, signal: AbortSignal): Promise<boolean> {
    const { log } = this.#deps;
    let link: Link | undefined;
    try {
      link = new Link(fd, signal);
      return await this.#converse(link);
    } catch (error) {
      log.warn('hand-over failed; this agent goes on', { error });
      return link !== undefined && (await this.#lastWord(link));
    } finally {
      link?.close();
    }
  }

  async #converse(link: Link): Promise<boolean> {
    const { log } = this.#deps;
    for (;;) {
      const message = await hear(link, START_DEADLINE_MS);
      switch (message['ask']) {
        case 'take':
          await this.#giveListeners(link);
          break;
        case 'give':
          if (await this.#giveLive(link, message)) return true;
          break;
        case 'took':
          await this.#tookListeners();
          return true;
        default:
          log.debug('the successor says what is not expected here', { ask: message['ask'] });
      }
    }
  }

  async #giveListeners(link: Link): Promise<void> {
    this.#deps.taking(true);
    await this.#deps.prepare();
    const pods = this.#deps.listeners();
    await link.send({ pods: pods.length, state: STATE_FORMAT });
    for (const { podUid, listeners } of pods) {
      const services = listeners.map(({ service }) => service);
      const fds = listeners.map((listener) => listener.fd);
      await link.send({ podUid, services }, fds);
    }
  }

  /** The successor wants the listeners alone; what is open here drains. */
  async #tookListeners(): Promise<void> {
    const left = this.#deps.left();
    this.#deps.log.info('a successor took the listeners; what is open drains', { left });
    await this.#deps.given();
  }

  async #giveLive(link: Link, { state, pods }: Message): Promise<boolean> {
    const { log, given } = this.#deps;
    if (state !== STATE_FORMAT || !isTexts(pods)) {
      log.warn('the successor reads another form of connections; they drain', { state });
      await link.send({ cannot: `form ${String(state)} of connections`, state: STATE_FORMAT });
      return false;
    }
    if (!(await this.#round(link, 1, pods))) return false;
    await given();
    try {
      await this.#giveRest(link, pods);
      await link.send({ done: true });
    } catch (error) {
      log.warn('the successor has gone; what is left here drains', { error });
    }
    return true;
  }

  /** What was in the middle of something, until nothing is left or the time to drain is over. */
  async #giveRest(link: Link, pods: readonly string[]): Promise<void> {
    const until = performance.now() + this.#deps.drainMs;
    for (let round = 2; this.#deps.left() > 0 && performance.now() < until; round += 1) {
      await delay(ROUND_EVERY_MS);
      await this.#round(link, round, pods);
    }
  }

  /** Hands over what can move now; whether it has become the successor's. */
  async #round(link: Link, round: number, pods: readonly string[]): Promise<boolean> {
    const calm = hurry();
    try {
      return await this.#giveRound(link, round, pods);
    } finally {
      calm();
    }
  }

  async #giveRound(link: Link, round: number, pods: readonly string[]): Promise<boolean> {
    const giving = await this.#deps.give(pods);
    const since = performance.now();
    if (round > 1 && giving.units === 0) {
      await giving.settle(true);
      return false;
    }
    try {
      if (giving.problem !== '') throw failed(giving.problem);
      await this.#sendRound(link, round, giving);
      const deadline = since + HOLD_MS;
      for (;;) {
        const { ask, round: of } = await hear(link, Math.max(0, deadline - performance.now()));
        if (ask === 'failed' && of === round) throw failed('the successor cannot take them up');
        if (ask === 'restored' && of === round) break;
      }
      // When this has been sent they are the successor's, and when it cannot be sent they are not.
      await link.send({ yours: round });
    } catch (error) {
      this.#deps.log.warn('connections stay with this agent', { round, error });
      await giving.settle(true);
      await link.send({ kept: round });
      return false;
    }
    await giving.settle(false);
    const heldMs = Math.round(performance.now() - since);
    this.#deps.log.info('a successor took connections', { units: giving.units, round, heldMs });
    return true;
  }

  async #sendRound(link: Link, round: number, { parts }: Giving): Promise<void> {
    const counts = parts.map(({ descriptors }) => descriptors.length);
    await link.send(
      { round, parts: counts },
      parts.flatMap(({ memory, bytes }) => [memory, bytes]),
    );
    await link.sendAll(parts.flatMap(({ descriptors }) => descriptors));
  }

  /** A successor that has given us up may have said so before we came to read it. */
  async #lastWord(link: Link): Promise<boolean> {
    try {
      for (;;) {
        const received = link.receiveNow();
        if (received === undefined) return false;
        for (const fd of received.descriptors) closeFd(fd);
        if (received.message['ask'] !== 'took') continue;
        await this.#tookListeners();
        return true;
      }
    } catch {
      return false;
    }
  }
}

async function hear(link: Link, withinMs: number): Promise<Message> {
  const { message, descriptors } = await link.receive(withinMs);
  for (const fd of descriptors) closeFd(fd);
  return message;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function check(result: number, attempt: string): number {
  if (result >= 0) return result;
  throw failed(`cannot ${attempt}: ${errnoName(-result)}`);
}
