/**
 * Network namespaces.
 *
 * `inNetns` takes this thread into a namespace and back within one turn, so no other code ever
 * runs in there. A socket stays for life in the namespace in which it was made.
 */
import { closeSync, openSync } from 'node:fs';
import { MeshError } from '../errors.ts';
import { errnoName } from './constants.ts';
import { declare, orErrno } from './native.ts';

const CLONE_NEWNET = 0x4000_0000;

const setns = declare('setns', 'int', ['int', 'int']);
const ifNameToIndex = declare('if_nametoindex', 'uint', ['uintptr_t']);

/** The namespace of this thread, opened at first use. */
let home = -1;

/** Opens a namespace by its path, for instance `/proc/PID/ns/net` or a bind mount. */
export function openNetns(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw new MeshError('NETNS_NOT_FOUND', `Cannot open the network namespace "${path}"`, {
      cause: error,
    });
  }
}

export function closeNetns(netns: number): void {
  closeSync(netns);
}

/** Runs `make` in the network namespace behind the open file `netns`. `make` must not be async. */
export function inNetns<T>(netns: number, make: () => T): T {
  if (home < 0) home = openSync('/proc/thread-self/ns/net', 'r');
  const entered = orErrno(setns(netns, CLONE_NEWNET));
  if (entered < 0) {
    throw new MeshError(
      'NETNS_NOT_ENTERED',
      `Cannot enter the network namespace behind descriptor "${netns}": ${errnoName(entered)}`,
    );
  }
  try {
    return make();
  } finally {
    // To go on in the wrong namespace would mix the traffic of two pods: better no agent than that.
    if (setns(home, CLONE_NEWNET) !== 0) process.abort();
  }
}

/** The index of an interface in this thread's namespace, 0 when there is none of that name. */
export function interfaceIndex(nameAddress: number): number {
  return ifNameToIndex(nameAddress);
}
