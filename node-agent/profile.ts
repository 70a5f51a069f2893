/**
 * CPU and sampling heap profiles of the main thread, for `node --cpu-prof` viewers.
 *
 * No heap snapshots: they would hold every key in memory.
 */
import { Session } from 'node:inspector/promises';
import { setTimeout as delay } from 'node:timers/promises';

const LONGEST_SECONDS = 60;

/** Reads `seconds` of a query; 5 when absent or out of bounds. */
export function profileSeconds(text: string | null): number {
  const seconds = Number(text ?? 5);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, LONGEST_SECONDS) : 5;
}

/** Returns the JSON of a `.cpuprofile`. */
export async function cpuProfile(seconds: number, signal: AbortSignal): Promise<string> {
  return withSession(async (session) => {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await delay(seconds * 1000, undefined, { signal }).catch(() => {});
    return JSON.stringify((await session.post('Profiler.stop')).profile);
  });
}

/** Returns the JSON of a `.heapprofile`. */
export async function heapProfile(seconds: number, signal: AbortSignal): Promise<string> {
  return withSession(async (session) => {
    await session.post('HeapProfiler.startSampling');
    await delay(seconds * 1000, undefined, { signal }).catch(() => {});
    return JSON.stringify((await session.post('HeapProfiler.stopSampling')).profile);
  });
}

async function withSession(work: (session: Session) => Promise<string>): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    return await work(session);
  } finally {
    session.disconnect();
  }
}
