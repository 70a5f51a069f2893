/**
 * The network namespaces that are pinned in a directory such as /run/netns, whatever their names:
 * `cni-UUID` of containerd, those of CRI-O, those of `ip netns`.
 *
 * A pin counts only when it *is* a network namespace, and never when it is the node's own: to program
 * that one would capture the node. Number and name together tell one namespace from the next, since
 * the kernel gives numbers again.
 */
import { fstatSync, readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { closeNetns, openNetns } from '#common/sys/netns.ts';

export interface OpenPin {
  readonly fd: number;
  readonly identity: string;
}

export class PinDirectory {
  readonly path: string;
  /** The node's own namespace. */
  readonly node: string;
  readonly #device: number;

  /** `nodePath` is the node's own namespace, the agent's unless a test says otherwise. */
  constructor(path: string, nodePath = '/proc/self/ns/net') {
    const { dev, ino } = statSync(nodePath);
    this.path = path;
    this.#device = dev;
    this.node = `${dev}:${ino}`;
  }

  /** The namespaces there are, by name, each with its identity; one with two names has the first. */
  list(): Map<string, string> {
    const found = new Map<string, string>();
    const seen = new Set<string>();
    for (const name of this.#names()) {
      const identity = this.identityOf(name);
      if (identity === undefined || identity === this.node || seen.has(identity)) continue;
      seen.add(identity);
      found.set(name, identity);
    }
    return found;
  }

  /**
   * Undefined when it is missing or no namespace: a bind mount is a plain file until mounted. A name
   * may also be a whole path, here and in `open`.
   */
  identityOf(name: string): string | undefined {
    try {
      const { dev, ino } = statSync(resolve(this.path, name));
      return dev === this.#device ? `${dev}:${ino}` : undefined;
    } catch {
      return undefined;
    }
  }

  /** Opens a namespace; undefined when it is gone, or not one in which a pod can be. */
  open(name: string): OpenPin | undefined {
    if (this.identityOf(name) === undefined) return undefined;
    let fd: number;
    try {
      fd = openNetns(resolve(this.path, name));
    } catch {
      return undefined; // It has gone in this very moment.
    }
    // Asked again of what was opened: the name may have become another's meanwhile.
    const { dev, ino } = fstatSync(fd);
    const identity = `${dev}:${ino}`;
    if (dev === this.#device && identity !== this.node) return { fd, identity };
    closeNetns(fd);
    return undefined;
  }

  #names(): readonly string[] {
    try {
      return readdirSync(this.path).toSorted();
    } catch {
      return []; // No pod has started since the node has, or the directory is gone with all pods.
    }
  }
}
