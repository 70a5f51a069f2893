/** Priorities of threads, as the kernel has them. */
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { test } from 'tap';

const module = new URL('../../../node-agent/data/precedence.ts', import.meta.url).href;
const isRoot = process.getuid?.() === 0;

/** The priorities of all threads of this process, by thread. */
function priorities(): Map<number, number> {
  return new Map(
    readdirSync('/proc/self/task').flatMap((thread) => {
      try {
        const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8');
        return [[Number(thread), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])]];
      } catch {
        return []; // It has ended meanwhile.
      }
    }),
  );
}

test(
  'a thread that steps back leaves the others alone, and one that it starts may go first again',
  { skip: isRoot ? false : 'needs CAP_SYS_NICE' },
  async (t) => {
    const before = getPriority();
    // In a thread of its own, since nobody can be sure to get this one back.
    const code = `
      const { parentPort, Worker } = require('node:worker_threads');
      const { getPriority } = require('node:os');
      import(${JSON.stringify(module)}).then(({ firstPriority, stepBack }) => {
        stepBack();
        const first = firstPriority();
        const inner = new Worker(
          \`const { parentPort, workerData } = require('node:worker_threads');
          const { getPriority } = require('node:os');
          import(workerData.module).then(({ takePriority }) => {
            const born = getPriority();
            takePriority(workerData.first);
            parentPort.postMessage([born, getPriority()]);
          });\`,
          { eval: true, workerData: { module: ${JSON.stringify(module)}, first } },
        );
        inner.once('message', (seen) => parentPort.postMessage([first, getPriority(), ...seen]));
      });`;
    const worker = new Worker(code, { eval: true });
    const [seen] = await once(worker, 'message');
    t.strictSame(seen, [before, before + 4, before + 4, before]);
    t.equal(getPriority(), before, 'the thread beside it is as before');
    t.equal(priorities().get(process.pid), before);
    await worker.terminate();
  },
);
