/**
 * Who goes first when the node has too little CPU: connections, then everything else of the agent.
 *
 * A thread's priority is its own on Linux. The main thread, which may decode a snapshot of a large mesh
 * for a second, steps back behind the data workers; a worker that is started later would inherit that
 * and takes its first priority again. Without the privilege to (CAP_SYS_NICE) it runs as main does.
 */
import { getPriority, setPriority } from 'node:os';

/** Two fifths of the share of CPU that a worker gets where both want all of it. */
const BEHIND = 4;
const LOWEST = 19;

let first: number | undefined;

/** The priority that the calling thread had before it stepped back, if it has. */
export const firstPriority = (): number => first ?? getPriority();

/** Puts the calling thread behind the others. */
export function stepBack(): void {
  first ??= getPriority();
  setPriority(Math.min(LOWEST, first + BEHIND));
}

/** Gives the calling thread this priority, where that is allowed. */
export function takePriority(priority: number): void {
  if (getPriority() === priority) return;
  try {
    setPriority(priority);
  } catch {
    // Not allowed; it works all the same.
  }
}
