/**
 * The load of a fault test, a process of its own, so that what the test does delays no request.
 *
 * It is server and client at once, inside the pods' network namespaces: standing connections with
 * requests at fixed times, one bulk stream, new connections at a fixed rate. It holds on to nothing
 * but its plan: what breaks is counted and made again.
 */
import { openSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { socket as newSocket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { body, Frames, hashOf, head } from './load-frames.ts';
import type { LoadAnswer, LoadOrder, LoadPlan, Pair } from './load-messages.ts';
import { Tally } from './load-tally.ts';

const PORT = 8080;
const TICK_MS = 5;
/** Without an answer for so long, a connection is given up. */
const REQUEST_DEADLINE_MS = 15_000;
const RECONNECT_MS = 20;
const BULK_BYTES = 256 << 10;
const BULK_AT_ONCE = 2;

interface Client {
  readonly netns: number;
  readonly addresses: readonly string[];
}

const pods = new Map<string, Client>();
let tally = new Tally(performance.now());
const tell = (answer: LoadAnswer): void => void process.send?.(answer);

function serve(name: string, netns: number): void {
  const server = createServer({ noDelay: true }, (client) => {
    const seen = (client.remoteAddress ?? '').replace(/^::ffff:/, '');
    const frames = new Frames(([id = ''], hash) => {
      const wanted = Number(id.split('/')[1]);
      const answer = body(wanted);
      client.write(head(answer.length, id, hash, hashOf(answer), seen, name));
      client.write(answer);
    });
    client.on('data', (chunk: Buffer) => frames.take(chunk));
    client.on('error', () => client.destroy());
  });
  // Without a host, or Node would look that up first and listen after we have left.
  inNetns(netns, () => server.listen({ port: PORT, backlog: 4096 }));
}

/** One connection and the requests that wait for their answers on it. */
class Call {
  readonly #pair: Pair;
  readonly #from: Client;
  readonly #address: string;
  readonly #bytes: number;
  readonly #onGood: (ms: number) => void;
  readonly #onBad: (why: string) => void;
  readonly #waiting = new Map<string, { readonly dueMs: number; readonly hash: string }>();
  readonly #unsent: number[] = [];
  #socket: Socket | undefined;
  #isUp = false;
  #isOver = false;
  #serial = 0;

  constructor(
    pair: Pair,
    turn: number,
    bytes: number,
    on: { readonly good: (ms: number) => void; readonly bad: (why: string) => void },
  ) {
    const [from, to] = [pods.get(pair.from), pods.get(pair.to)];
    if (from === undefined || to === undefined) throw new RangeError(JSON.stringify(pair));
    this.#pair = pair;
    this.#from = from;
    this.#address = to.addresses[turn % to.addresses.length] ?? '';
    this.#bytes = bytes;
    this.#onGood = on.good;
    this.#onBad = on.bad;
  }

  get pending(): number {
    return this.#waiting.size + this.#unsent.length;
  }

  /** Connects, and again whenever that ends. */
  connect(again = true): void {
    const { netns } = this.#from;
    const fd = inNetns(netns, () => newSocket(familyOf(this.#address)));
    const socket = new Socket({ fd, readable: true, writable: true });
    const frames = new Frames((words, hash) => this.#answered(words, hash));
    this.#socket = socket;
    let why = 'ended';
    socket.setNoDelay(true);
    socket.on('connect', () => {
      this.#isUp = true;
      for (const dueMs of this.#unsent.splice(0)) this.#send(dueMs);
    });
    socket.on('data', (chunk: Buffer) => frames.take(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => (why = error.code ?? error.message));
    socket.on('close', () => {
      const wasUp = this.#isUp;
      this.#isUp = false;
      if (this.#isOver) return;
      if (wasUp && again) tally.broken += 1;
      if (why === 'ended' && !frames.isBetween) tally.wrong += 1;
      const lost = this.#waiting.size + (again ? 0 : this.#unsent.length);
      this.#waiting.clear();
      for (let i = 0; i < lost; i += 1) this.#onBad(why);
      if (again) setTimeout(() => this.#isOver || this.connect(), RECONNECT_MS);
    });
    socket.connect({ host: this.#address, port: PORT });
  }

  ask(dueMs: number): void {
    if (this.#isUp) this.#send(dueMs);
    else this.#unsent.push(dueMs);
  }

  end(): void {
    this.#isOver = true;
    this.#socket?.destroy();
  }

  /** Gives up what has waited too long, and the connection with it. */
  expire(nowMs: number): void {
    const limit = nowMs - REQUEST_DEADLINE_MS;
    while ((this.#unsent[0] ?? nowMs) < limit) {
      this.#unsent.shift();
      this.#onBad('no connection in time');
    }
    const [oldest] = this.#waiting.values();
    if (oldest === undefined || oldest.dueMs >= limit) return;
    for (let i = 0; i < this.#waiting.size; i += 1) this.#onBad('no answer in time');
    this.#waiting.clear();
    // With a reason: an end in the midst of a frame that nobody here made is a fault of the mesh.
    this.#socket?.destroy(new Error('no answer in time'));
  }

  #send(dueMs: number): void {
    const bytes = body(this.#bytes);
    const id = `${(this.#serial += 1)}/${this.#bytes}`;
    this.#waiting.set(id, { dueMs, hash: hashOf(bytes) });
    this.#socket?.write(head(bytes.length, id));
    this.#socket?.write(bytes);
  }

  #answered(
    [id = '', received = '', sent = '', seen = '', server = '']: readonly string[],
    hash: string,
  ): void {
    const asked = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (asked?.hash !== received || sent !== hash || server !== this.#pair.to) tally.wrong += 1;
    if (!this.#from.addresses.includes(seen)) tally.misidentified += 1;
    this.#onGood(performance.now() - (asked?.dueMs ?? 0));
  }
}

function begin(plan: LoadPlan): void {
  for (const { name, netns, addresses } of plan.pods) {
    const fd = openSync(netns, 'r');
    pods.set(name, { netns: fd, addresses });
    serve(name, fd);
  }
  tally = new Tally(performance.now());
  const on = {
    good: (ms: number) => tally.good(ms, performance.now()),
    bad: (why: string) => tally.bad(why, performance.now()),
  };
  const periodMs = (1000 * plan.connections) / plan.requestsPerSecond;
  const startMs = performance.now() + 200;
  const calls = Array.from({ length: plan.connections }, (_, i) => {
    const pair = plan.pairs[i % plan.pairs.length] ?? { from: '', to: '' };
    const turn = Math.floor(i / plan.pairs.length) + i;
    const call = new Call(pair, turn, plan.requestBytes, on);
    call.connect();
    return { call, dueMs: startMs + (i * periodMs) / plan.connections };
  });
  if (plan.bulkMibPerSecond > 0) bulk(plan);
  if (plan.fresh.perSecond > 0) fresh(plan, startMs);
  setInterval(() => {
    const now = performance.now();
    for (const one of calls) {
      for (; one.dueMs <= now; one.dueMs += periodMs) one.call.ask(one.dueMs);
    }
  }, TICK_MS);
  setInterval(() => {
    for (const { call } of calls) call.expire(performance.now());
  }, 250);
}

/** Requests of a quarter of a megabyte, a few at once, at a fixed rate as long as they are answered. */
function bulk(plan: LoadPlan): void {
  const pair = plan.pairs.find(({ from, to }) => from[0] !== to[0]) ?? plan.pairs[0];
  if (pair === undefined) return;
  const call = new Call(pair, 0, BULK_BYTES, {
    good: () => (tally.bulkBytes += 2 * BULK_BYTES),
    bad: (why) => tally.bad(`bulk: ${why}`, performance.now()),
  });
  call.connect();
  const everyMs = (1000 * 2 * BULK_BYTES) / (plan.bulkMibPerSecond * 2 ** 20);
  let dueMs = performance.now();
  setInterval(() => {
    const now = performance.now();
    call.expire(now);
    if (dueMs > now || call.pending >= BULK_AT_ONCE) return;
    dueMs = Math.max(dueMs + everyMs, now - everyMs);
    call.ask(now);
  }, TICK_MS);
}

function fresh({ fresh: { perSecond, pairs }, requestBytes }: LoadPlan, startMs: number): void {
  const everyMs = 1000 / perSecond;
  let dueMs = startMs;
  let turn = 0;
  const living = new Set<Call>();
  setInterval(() => {
    const now = performance.now();
    for (; dueMs <= now; dueMs += everyMs) {
      const pair = pairs[turn % pairs.length] ?? { from: '', to: '' };
      const name = `${pair.from}-${pair.to}`;
      const began = now;
      const done = (why?: string): void => {
        if (!living.delete(call)) return;
        tally.fresh(name, began, performance.now(), why);
        call.end();
      };
      const on = { good: () => done(), bad: (why: string) => done(why) };
      const call = new Call(pair, Math.floor(turn / pairs.length), requestBytes, on);
      living.add(call);
      turn += 1;
      call.connect(false);
      call.ask(now);
    }
    for (const call of living) call.expire(now);
  }, TICK_MS);
}

process.on('message', (message: LoadOrder) => {
  try {
    if (message.order === 'start') {
      begin(message.plan);
      tell({ answer: 'started' });
    } else if (message.order === 'take') {
      const now = performance.now();
      const figures = tally.figures(now);
      tally = new Tally(now);
      tell({ answer: 'figures', figures });
    } else process.exit(0);
  } catch (error) {
    tell({ answer: 'failed', why: String(error) });
  }
});
process.on('uncaughtException', (error) => {
  tell({ answer: 'failed', why: error.stack ?? error.message });
  process.exit(1);
});
process.on('disconnect', () => process.exit(0));
