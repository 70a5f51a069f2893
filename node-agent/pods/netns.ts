/**
 * Finds the network namespaces of pods where somebody names them for us: a directory with one file for each, named for
 * the pod's uid, either a bind mount of the namespace or a link to it.
 *
 * A file is trusted only when it *is* a network namespace, and never when it is the node's own: to
 * program that one would capture the node. The directory is read again and again, not reacted to,
 * so lost events do no harm.
 */
import { type FSWatcher, fstatSync, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '#common/errors.ts';
import { closeNetns, openNetns } from '#common/sys/netns.ts';
import type { PodNamespaces, PodNetns } from './namespaces.ts';

const POD_UID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;
/** The mount on a file is no event of its directory, so the directory is looked at as well. */
const LOOK_EVERY_MS = 1000;

export class NetnsDirectory implements PodNamespaces {
  readonly #path: string;
  readonly #node: string;
  readonly #device: number;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #seen = '';

  /** `nodePath` is the node's own namespace, the agent's unless a test says otherwise. */
  constructor(path: string, nodePath = '/proc/self/ns/net') {
    const { dev, ino } = statSync(nodePath);
    this.#path = path;
    this.#device = dev;
    this.#node = `${dev}:${ino}`;
  }

  open(podUid: string): PodNetns | undefined {
    const path = this.#fileOf(podUid);
    if (this.#identityAt(path) === undefined) return undefined;
    const fd = openNetns(path);
    // Asked again of what was opened: the file may have become another one meanwhile.
    const { dev, ino } = fstatSync(fd);
    const identity = `${dev}:${ino}`;
    if (dev === this.#device && identity !== this.#node) {
      return { podUid, fd, identity, addresses: [] };
    }
    closeNetns(fd);
    if (identity !== this.#node) return undefined;
    throw new MeshError(
      'NETNS_NOT_FOUND',
      `Cannot use "${path}" for a pod: it is the node's own network namespace`,
      { details: { podUid } },
    );
  }

  list(): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const name of this.#names()) {
      if (!POD_UID.test(name)) continue;
      const identity = this.#identityAt(join(this.#path, name));
      if (identity !== undefined && identity !== this.#node) found.set(name, identity);
    }
    return found;
  }

  start(onChange: (pods: ReadonlyMap<string, string>) => void): void {
    const look = (): void => {
      const pods = this.list();
      const seen = JSON.stringify([...pods].toSorted(([a], [b]) => (a < b ? -1 : 1)));
      if (seen === this.#seen) return;
      this.#seen = seen;
      onChange(pods);
    };
    this.#watcher = watch(this.#path, { persistent: false }, look);
    this.#watcher.on('error', () => {}); // The timer goes on looking.
    this.#timer = setInterval(look, LOOK_EVERY_MS).unref();
    look();
  }

  stop(): void {
    this.#watcher?.close();
    clearInterval(this.#timer);
  }

  #fileOf(podUid: string): string {
    if (POD_UID.test(podUid)) return join(this.#path, podUid);
    throw new MeshError('NETNS_NOT_FOUND', `Cannot find the namespace of "${podUid}": not a uid`);
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.#path);
    } catch {
      return []; // The directory itself is gone, and with it every pod.
    }
  }

  /** Undefined when the file is missing or no namespace: a bind mount is a plain file until mounted. */
  #identityAt(path: string): string | undefined {
    try {
      const { dev, ino } = statSync(path);
      return dev === this.#device ? `${dev}:${ino}` : undefined;
    } catch {
      return undefined;
    }
  }
}
