/**
 * The scheduler's favour: for a thread for which connections stand still, and against an agent that
 * only starts while another one serves.
 *
 * On a machine that is busy otherwise the few milliseconds of a hand-over would each wait their turn,
 * and the start of a successor would hold up the bytes of its predecessor. Where the system does not
 * allow it, all goes on as it was.
 */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

const FIRST = -20;
/** Behind others, but a third of a core at least where two are busy. */
const BEHIND = 5;

/** Hurries the calling thread; the function that it returns ends that. */
export function hurry(): () => void {
  try {
    const before = getPriority();
    setPriority(FIRST);
    return () => {
      try {
        setPriority(before);
      } catch {
        // It was allowed a moment ago; nothing depends on it.
      }
    };
  } catch {
    return () => undefined;
  }
}

/** Lets all threads of this process step back; the function that it returns ends that. */
export function stepBack(): () => void {
  try {
    const before = getPriority();
    // Who may not go first may not come back either.
    setPriority(before - 1);
    setAll(before + BEHIND);
    return () => setAll(before);
  } catch {
    return () => undefined;
  }
}

function setAll(priority: number): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      setPriority(Number(thread), priority);
    } catch {
      // It has ended meanwhile.
    }
  }
}
