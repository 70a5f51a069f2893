/**
 * The thread of a data worker: an epoll loop, and a port that is read when main raises the eventfd.
 *
 * It never returns to Node's event loop before it is told to stop, so no promise, stream or timer of
 * Node's may be used by anything that runs here. While it is not certain whose the connections are
 * (ownership.ts) it waits for main alone; what main says beside that is done afterwards, in order.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Loop } from '#common/engine/loop.ts';
import { clearEvent, Epoll, EPOLLIN } from '#common/sys/epoll.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { takePriority } from './precedence.ts';
import { describeFault, Station } from './station.ts';

if (parentPort === null) throw new TypeError('worker.ts runs in a worker thread only');
const port = parentPort;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- given by worker-host.ts
const start = workerData as WorkerStart;
takePriority(start.priority);
const HOLD_LOOK_MS = 1000;

/** What has been read from the port and not been done. */
const waiting: ToWorker[] = [];

const loop = new Loop({
  onError: (error) => station.log('error', 'a handler failed', describeFault(error)),
});
const station = new Station(loop, start, { post, hold });

loop.addListener(start.event, {
  onEvents: () => {
    clearEvent(start.event);
    work();
  },
});

loop.run();
loop.close();
port.close();

function post(message: FromWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
}

function work(): void {
  readPort();
  for (let message = waiting.shift(); message !== undefined; message = waiting.shift()) {
    try {
      station.handle(message);
    } catch (error) {
      const { kind } = message;
      station.log('error', 'cannot do what main asks', { kind, ...describeFault(error) });
    }
    readPort();
  }
}

function readPort(): void {
  for (;;) {
    const received: { readonly message: ToWorker } | undefined = receiveMessageOnPort(port);
    if (received === undefined) return;
    waiting.push(received.message);
  }
}

/** Blocks until main says whose it is; undefined when the worker must end before that. */
function hold(of: number): boolean | undefined {
  const epoll = new Epoll();
  epoll.add(start.event, EPOLLIN, 0);
  try {
    for (;;) {
      readPort();
      const at = waiting.findIndex((one) => one.kind === 'owner' && one.of === of);
      const [found] = at < 0 ? [] : waiting.splice(at, 1);
      if (found?.kind === 'owner') {
        post({ kind: 'done', ask: found.ask });
        return found.isOurs;
      }
      if (waiting.some(({ kind }) => kind === 'stop')) return undefined;
      if (epoll.wait(HOLD_LOOK_MS) > 0) clearEvent(start.event);
    }
  } finally {
    epoll.close();
    // What waits now has raised the event already.
    if (waiting.length > 0) loop.soon({ run: work });
  }
}
