/**
 * CPU and sampling heap profiles of the data worker that this runs in.
 *
 * A worker has no event loop of Node's, so the inspector is asked and answers within the call; the end
 * comes from the worker's own timers. No heap snapshots: they would hold every key in memory.
 */
import { Session } from 'node:inspector';
import type { Loop, Task } from '#common/engine/loop.ts';

export type ProfileKind = 'cpu' | 'heap';

const START = { cpu: ['Profiler.enable', 'Profiler.start'], heap: ['HeapProfiler.startSampling'] };
const STOP = { cpu: 'Profiler.stop', heap: 'HeapProfiler.stopSampling' };

/** Profiles for `ms` milliseconds, then calls `done` with the JSON of a profile file. */
export function profileThread(
  loop: Loop,
  { kind, ms }: { readonly kind: ProfileKind; readonly ms: number },
  done: (profile: string) => void,
): void {
  const session = new Session();
  session.connect();
  for (const method of START[kind]) session.post(method);
  const end: Task = {
    run: () => {
      session.post(STOP[kind], (error: Error | null, answer?: object) => {
        const profile = answer !== undefined && 'profile' in answer ? answer.profile : undefined;
        done(JSON.stringify(profile ?? { error: error?.message ?? 'no profile' }));
      });
      session.disconnect();
    },
  };
  loop.timers.after(ms, end);
}
