/**
 * The last state of the mesh, on disk, from which an agent starts when the controller is away.
 *
 * Written whole to a new file, synced and renamed, so what is read is always one complete state; at
 * most one write is under way, and a burst of changes costs one write. A file that cannot be read or
 * has another format is set aside with a warning, never half used.
 */
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Logger } from '#common/log.ts';

const MAGIC = 'plumbline-state-1\n';
/** A change waits this long for others, so that a rollout writes a few times, not thousands. */
const SETTLE_MS = 1000;
/** Writing a large state may take at most this share of the time. */
const LARGEST_SHARE = 0.05;

export interface SavedState {
  readonly epoch: string;
  readonly version: number;
  /** A packed snapshot: see common/mesh/pack.ts. */
  readonly snapshot: Uint8Array;
}

/** Reads the file; undefined when there is none, or none that can be used. */
export function loadState(directory: string, log: Logger): SavedState | undefined {
  const path = `${directory}/mesh.state`;
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (!isMissing(error)) log.warn('saved state cannot be read', { path, error });
    return undefined;
  }
  const state = decode(bytes);
  if (state === undefined) {
    log.warn('saved state is damaged or of another format; set aside', { path });
    renameSync(path, `${path}.bad`);
  }
  return state;
}

function decode(bytes: Buffer): SavedState | undefined {
  const headEnd = bytes.indexOf(0x0a, MAGIC.length);
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC || headEnd < 0) return undefined;
  const head = /^(\S{1,128}) (\d{1,15}) (\d{1,10})$/.exec(
    bytes.toString('latin1', MAGIC.length, headEnd),
  );
  const snapshot = bytes.subarray(headEnd + 1);
  if (head === null || crc32(snapshot) !== Number(head[3])) return undefined;
  return { epoch: head[1] ?? '', version: Number(head[2]), snapshot };
}

export class StateFile {
  readonly #directory: string;
  readonly #read: () => SavedState | undefined;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failed = false;
  #lastMs = 0;

  /** `read` is asked for the state at the moment of writing. */
  constructor(directory: string, read: () => SavedState | undefined, log: Logger) {
    this.#directory = directory;
    this.#read = read;
    this.#log = log;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Says that something has changed; it will be on disk soon. */
  changed(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        void this.flush();
      },
      Math.max(SETTLE_MS, this.#lastMs / LARGEST_SHARE),
    ).unref();
  }

  /** Writes now; a full or read-only disk is a warning, once, since the agent serves from memory. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const start = performance.now();
    const state = this.#read();
    if (state === undefined) return;
    const path = `${this.#directory}/mesh.state`;
    try {
      const file = await open(`${path}.new`, 'w', 0o600);
      try {
        await file.write(`${MAGIC}${state.epoch} ${state.version} ${crc32(state.snapshot)}\n`);
        await file.writeFile(state.snapshot);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(`${path}.new`, path);
      this.#lastMs = performance.now() - start;
      if (this.#failed) this.#log.info('state is saved again', { path });
      this.#failed = false;
    } catch (error) {
      if (!this.#failed)
        this.#log.warn('state cannot be saved; serving from memory', { path, error });
      this.#failed = true;
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
