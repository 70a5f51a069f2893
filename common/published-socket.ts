/**
 * A Unix socket under a name that several processes may serve one after the other: each listens at a
 * name of its own, and a link says whose turn it is. Who ends takes away only what is its own.
 *
 * No two servers have the same name, whatever their processes are called: in a container every agent is
 * process 1, and two of them share the directory while one takes over from the other.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname, join } from 'node:path';

const SWEEP_AFTER_MS = 60_000;

export class PublishedSocket {
  /** Where to listen. */
  readonly own: string;
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    this.own = `${path}.${randomBytes(4).toString('hex')}`;
  }

  /** Clears away sockets of processes that were killed; what is young may be about to listen. */
  async sweep(): Promise<void> {
    const directory = dirname(this.#path);
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(`${basename(this.#path)}.`) || !/\.[0-9a-f]{8}$/.test(name)) continue;
      const other = join(directory, name);
      try {
        if (Date.now() - lstatSync(other).mtimeMs < SWEEP_AFTER_MS) continue;
        if (await isDead(other)) rmSync(other, { force: true });
      } catch {
        // Gone already.
      }
    }
  }

  /** Points the link at the own socket, in one step. */
  publish(): void {
    chmodSync(this.own, 0o600);
    rmSync(`${this.own}.link`, { force: true });
    symlinkSync(basename(this.own), `${this.own}.link`);
    renameSync(`${this.own}.link`, this.#path);
  }

  withdraw(): void {
    try {
      if (readlinkSync(this.#path) === basename(this.own)) rmSync(this.#path);
    } catch {
      // Never published, or gone already.
    }
  }
}

async function isDead(path: string): Promise<boolean> {
  const answer = Promise.withResolvers<boolean>();
  const socket = connect(path);
  socket.on('connect', () => answer.resolve(false));
  socket.on('error', (error) => answer.resolve('code' in error && error.code === 'ECONNREFUSED'));
  const found = await answer.promise;
  socket.destroy();
  return found;
}
