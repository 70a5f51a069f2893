/**
 * One connection that makes one round trip of 1 KB after another and remembers when each was and how
 * long it took, so that any stretch of time can be looked at afterwards. Runs in the client's pod.
 */
import { connect } from 'node:net';

const SIZE = 1024;
const MOST = 2_000_000;

/** A stretch of CLOCK_MONOTONIC. */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Trips {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
}

const [address = '', port = ''] = process.argv.slice(2);
const at = new Float64Array(MOST);
const took = new Float32Array(MOST);
let made = 0;
let got = 0;
let sentAt = 0;
const now = (): number => Number(process.hrtime.bigint()) / 1e6;
const block = Buffer.alloc(SIZE, 'x');

const socket = connect({ host: address, port: Number(port), noDelay: true });
socket.on('error', (error) => {
  console.error(error.message);
  process.exit(3);
});
socket.on('connect', () => {
  socket.write('E');
  sentAt = now();
  socket.write(block);
});
socket.on('data', (chunk) => {
  got += chunk.length;
  if (got < SIZE) return;
  got = 0;
  const time = now();
  at[made % MOST] = time;
  took[made % MOST] = time - sentAt;
  made += 1;
  sentAt = now();
  socket.write(block);
});

process.on('message', ({ fromMs, toMs }: Window) => {
  const inside: number[] = [];
  for (let i = 0; i < Math.min(made, MOST); i += 1) {
    const time = at[i] ?? 0;
    if (time >= fromMs && time - (took[i] ?? 0) <= toMs) inside.push((took[i] ?? 0) * 1000);
  }
  inside.sort((a, b) => a - b);
  const quantile = (share: number): number =>
    inside[Math.floor(share * inside.length)] ?? Number.NaN;
  const trips: Trips = {
    count: inside.length,
    p50: quantile(0.5),
    p99: quantile(0.99),
    worst: inside.at(-1) ?? Number.NaN,
  };
  process.send?.(trips);
});
process.on('disconnect', () => process.exit(0));
