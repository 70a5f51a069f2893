/**
 * The load of a long run: connections that live and have every byte compared, and new ones all the time.
 *
 * Whatever fails is booked under what is being done to the mesh at that moment, so the run can say
 * what broke connections and what did not; under `calm` nothing may fail.
 */
import { inNetns } from '#common/sys/netns.ts';
import { socket } from '#common/sys/libc.ts';
import { familyOf } from '#common/address.ts';
import { Socket } from 'node:net';
import type { PodNetns } from '../helpers/netns.ts';
import { greet } from '../helpers/pod-apps.ts';
import { MARKER } from '../helpers/wire-watch.ts';
import { quantile } from './slope.ts';

export const APP_PORT = 8080;
const MANY_TRIPS = 20_000;
const STUCK_MS = 30_000;
const AGAIN_MS = 200;
const NEW_EVERY_MS = 50;

/** From whom to whom. */
export interface Path {
  readonly from: PodNetns;
  readonly to: PodNetns;
}

export interface Broken {
  /** Living connections that ended before their time. */
  cut: number;
  /** New connections that were not served. */
  refused: number;
  stuck: number;
}

export class Ledger {
  readonly byCause = new Map<string, Broken>();
  readonly reasons = new Map<string, number>();
  bytes = 0;
  wrongBytes = 0;
  made = 0;
  trips: number[] = [];
  cause = 'calm';

  book(what: keyof Broken, why: string): void {
    const row = this.byCause.get(this.cause) ?? { cut: 0, refused: 0, stuck: 0 };
    row[what] += 1;
    this.byCause.set(this.cause, row);
    const reason = `${this.cause}: ${what}: ${why}`;
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  trip(ms: number): void {
    // The newest are kept; a long run would be nothing but these numbers otherwise.
    if (this.trips.length >= MANY_TRIPS) this.trips = this.trips.slice(MANY_TRIPS / 2);
    this.trips.push(ms);
  }

  latency(): readonly [p50: number, p99: number] {
    return [quantile(this.trips, 0.5), quantile(this.trips, 0.99)];
  }
}

/** One connection that sends a block again and again and compares what comes back. */
class Flow {
  readonly #path: Path;
  readonly #block: Buffer;
  readonly #everyMs: number;
  readonly #ledger: Ledger;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  /** Place in the block of the next byte back; below 0 while the greeting has not ended. */
  #at = -1;
  #sentAt = 0;

  constructor(path: Path, size: number, everyMs: number, ledger: Ledger) {
    this.#path = path;
    this.#everyMs = everyMs;
    this.#ledger = ledger;
    // Unlike at every place, so that a lost, repeated or foreign piece is seen.
    this.#block = Buffer.alloc(size);
    let state = size + everyMs + ledger.byCause.size + (flows += 1);
    for (let i = 0; i < size; i += 1) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      this.#block[i] = state >>> 16;
    }
    this.#block.write(MARKER);
    this.#open();
  }

  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #open(): void {
    const { from, to } = this.#path;
    const address = to.address4 ?? '';
    const fd = inNetns(from.fd, () => socket(familyOf(address)));
    const made = new Socket({ fd, readable: true, writable: true });
    this.#socket = made;
    this.#at = -1;
    let why = 'ended';
    made.setTimeout(STUCK_MS, () => {
      this.#ledger.book('stuck', `at byte ${this.#at}`);
      made.destroy();
    });
    made.on('data', (chunk: Buffer) => this.#take(chunk));
    made.on('error', (error) => (why = error.message));
    made.on('close', () => {
      clearTimeout(this.#timer);
      if (this.#isOver) return;
      this.#ledger.book(this.#at < 0 ? 'refused' : 'cut', why);
      this.#timer = setTimeout(() => this.#open(), AGAIN_MS);
    });
    made.connect({ host: address, port: APP_PORT });
  }

  #send(): void {
    this.#at = 0;
    this.#sentAt = performance.now();
    this.#socket?.write(this.#block);
  }

  #take(chunk: Buffer): void {
    let from = 0;
    if (this.#at < 0) {
      from = chunk.indexOf('\n') + 1;
      if (from === 0) return;
      this.#send();
    }
    const got = chunk.length - from;
    if (got === 0) return;
    this.#ledger.bytes += got;
    if (chunk.compare(this.#block, this.#at, this.#at + got, from) !== 0) {
      this.#ledger.wrongBytes += 1;
      this.#socket?.destroy();
      return;
    }
    this.#at += got;
    if (this.#at < this.#block.length) return;
    this.#ledger.trip(performance.now() - this.#sentAt);
    this.#timer = setTimeout(() => this.#send(), this.#everyMs);
  }
}

let flows = 0;

export interface LoadPlan {
  readonly paths: readonly Path[];
  /** Busy connections on each path. */
  readonly busy: number;
  readonly ledger: Ledger;
}

export class Load {
  readonly #flows: Flow[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor({ paths, busy, ledger }: LoadPlan) {
    for (const path of paths) {
      for (let i = 0; i < busy; i += 1) this.#flows.push(new Flow(path, 1024, 200, ledger));
      // The bulk stream: half a megabyte a time, some megabytes a second.
      this.#flows.push(new Flow(path, 512 * 1024, 250, ledger));
    }
    let turn = 0;
    this.#timer = setInterval(() => {
      const path = paths[(turn += 1) % paths.length];
      if (path === undefined) return;
      const address = path.to.addresses[turn % 2] ?? path.to.address4 ?? '';
      greet(path.from.fd, address, APP_PORT).then(
        () => (ledger.made += 1),
        (error: unknown) => ledger.book('refused', String(error)),
      );
    }, NEW_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const flow of this.#flows) flow.stop();
  }
}
