/**
 * An agent that has been replaced and must not end yet: a kubelet would start it again, and it would
 * take everything back. It waits to be told to end; and should its successor go away before that, as
 * when a rollout is undone, it ends to be started again.
 */
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 1000;
/** One may be missed while the successor is itself being replaced. */
const MISSES = 3;

/** Resolves when no agent has answered at the admin socket of this node several times in a row. */
export async function successorGone(runDir: string, everyMs = LOOK_EVERY_MS): Promise<void> {
  for (let misses = 0; misses < MISSES;) {
    await delay(everyMs);
    misses = (await answers(`${runDir}/agent.sock`)) ? 0 : misses + 1;
  }
}

async function answers(path: string): Promise<boolean> {
  const answer = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on('connect', () => answer.resolve(true));
  socket.on('error', () => answer.resolve(false));
  try {
    return await answer.promise;
  } finally {
    socket.destroy();
  }
}
