/**
 * The thread of a worker of the proxy: an epoll loop, and a port that is read when main raises the
 * eventfd. It never returns to Node's event loop before it is told to stop.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Loop } from '#common/engine/loop.ts';
import { clearEvent } from '#common/sys/epoll.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { describeFault, Station } from './station.ts';

if (parentPort === null) throw new TypeError('worker.ts runs in a worker thread only');
const port = parentPort;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- given by worker-host.ts
const start = workerData as WorkerStart;

const loop = new Loop({ onError: (error) => log(error, 'a handler failed') });
const station = new Station(loop, start, post);

loop.addListener(start.event, {
  onEvents: () => {
    clearEvent(start.event);
    for (;;) {
      const received: { readonly message: ToWorker } | undefined = receiveMessageOnPort(port);
      if (received === undefined) return;
      try {
        station.handle(received.message);
      } catch (error) {
        log(error, 'cannot do what main asks');
      }
    }
  },
});

loop.run();
loop.close();
port.close();

function post(message: FromWorker): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
}

function log(error: unknown, message: string): void {
  post({ kind: 'log', level: 'error', message, fields: describeFault(error) });
}
