/**
 * The thread of a data worker: an epoll loop, and a port that is read when main raises the eventfd.
 *
 * It never returns to Node's event loop before it is told to stop, so no promise, stream or timer of
 * Node's may be used by anything that runs here.
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

const loop = new Loop({
  onError: (error) => station.log('error', 'a handler failed', describeFault(error)),
});
const station = new Station(loop, start, (message: FromWorker) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  port.postMessage(message);
});

loop.addListener(start.event, {
  onEvents: () => {
    clearEvent(start.event);
    for (;;) {
      const received: { readonly message: ToWorker } | undefined = receiveMessageOnPort(port);
      if (received === undefined) return;
      try {
        station.handle(received.message);
      } catch (error) {
        const { kind } = received.message;
        station.log('error', 'cannot do what main asks', { kind, ...describeFault(error) });
      }
    }
  },
});

loop.run();
loop.close();
port.close();
