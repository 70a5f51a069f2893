/**
 * Whether a program is ready, as a list of the names of what is still missing.
 *
 * A blocker that was lifted may come back (a pod whose capture is lost); ready means that there is
 * none. `/healthz/ready` answers 200 `ready`, or 503 with the names.
 */
import { text, type AdminRoute } from './admin.ts';
import type { Logger } from './log.ts';

export class Readiness {
  readonly #missing = new Set<string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Adds a blocker and returns the function that lifts it. */
  blockedBy(name: string): () => void {
    this.#missing.add(name);
    return () => {
      if (!this.#missing.delete(name)) return;
      const waitingFor = this.missing;
      this.#log.info(waitingFor.length === 0 ? 'ready' : 'nearly ready', { has: name, waitingFor });
    };
  }

  get missing(): readonly string[] {
    return [...this.#missing];
  }

  route(): AdminRoute {
    return {
      method: 'GET',
      path: '/healthz/ready',
      about: '200 when ready, 503 with what is missing',
      answer: () =>
        this.#missing.size === 0
          ? text('ready\n')
          : text(`waiting for: ${this.missing.join(', ')}\n`, 503),
    };
  }
}
