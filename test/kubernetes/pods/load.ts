/**
 * Asks a server again and again, each time on a new connection, and keeps one connection beside it.
 *
 *   load.ts URL EVERY_MS [KEPT_HOST:PORT]
 *
 * Each second it prints one line of JSON: how many requests went well, how many failed and why, how often
 * the kept connection was lost, and the slowest request.
 */
import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const [url = '', every = '50', kept] = process.argv.slice(2);
const TIMEOUT_MS = 10_000;
const reasons: Record<string, number> = {};
const count = { ok: 0, failed: 0, broken: 0, slowest: 0, reasons };

process.on('SIGTERM', () => process.exit(0));
setInterval(() => console.log(JSON.stringify(count)), 1000);
if (kept !== undefined) keep(kept);
for (;;) {
  void ask().catch((error: unknown) => note('failed', error));
  await delay(Number(every));
}

async function ask(): Promise<void> {
  const started = performance.now();
  const done = Promise.withResolvers<void>();
  const call = get(url, { agent: false, timeout: TIMEOUT_MS }, (response) => {
    response.on('error', done.reject);
    response.on('end', () =>
      response.statusCode === 200
        ? done.resolve()
        : done.reject(new Error(`${response.statusCode}`)),
    );
    response.resume();
  });
  call.on('timeout', () => call.destroy(new Error('no answer within 10 s')));
  call.on('error', done.reject);
  await done.promise;
  count.ok += 1;
  count.slowest = Math.max(count.slowest, Math.round(performance.now() - started));
}

/** Sends a byte each 100 ms and wants it back; a connection that ends or is silent for 10 s is broken. */
function keep(place: string): void {
  const [host = '', port = ''] = place.split(':');
  const socket = connect({ host, port: Number(port), noDelay: true });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('silent for 10 s')));
  socket.resume();
  socket.on('connect', () => {
    const timer = setInterval(() => socket.write('.'), 100);
    socket.on('close', () => clearInterval(timer));
  });
  socket.on('end', () => socket.destroy(new Error('the other side ended')));
  socket.on('error', (error) => note('broken', error));
  socket.on('close', () => setTimeout(() => keep(place), 500));
}

function note(kind: 'failed' | 'broken', error: unknown): void {
  count[kind] += 1;
  const reason = `${kind}: ${error instanceof Error ? error.message : String(error)}`;
  reasons[reason] = (reasons[reason] ?? 0) + 1;
}
