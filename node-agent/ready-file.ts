/**
 * Says by a file whether the agent is ready, to whoever can look into its own file system alone: on a
 * node two agents share the ports, so what answers there may be the other one.
 *
 * The file is touched each second while the agent is ready and taken away otherwise; a file that is
 * old is that of an agent that hangs.
 */
import { rmSync, utimesSync, writeFileSync } from 'node:fs';

export const TOUCH_EVERY_MS = 1000;

export class ReadyFile {
  readonly #path: string;
  readonly #isReady: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(path: string, isReady: () => boolean) {
    this.#path = path;
    this.#isReady = isReady;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), TOUCH_EVERY_MS);
    this.look();
  }

  stop(): void {
    clearInterval(this.#timer);
    rmSync(this.#path, { force: true });
  }

  look(): void {
    if (!this.#isReady()) {
      rmSync(this.#path, { force: true });
      return;
    }
    const now = new Date();
    try {
      utimesSync(this.#path, now, now);
    } catch {
      writeFileSync(this.#path, 'ready\n', { mode: 0o600 });
    }
  }
}
