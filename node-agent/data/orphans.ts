/**
 * What a data worker leaves behind when it dies: descriptors belong to the process, not to it.
 *
 * The worker's epoll instance is found by the worker's eventfd, which no other instance holds, and
 * the kernel lists what is registered there. So nobody keeps books, and nothing that was closed and
 * given out again as somebody else's descriptor can be closed by mistake.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setReset } from '#common/sys/socket-options.ts';

/** Closes the sockets of the dead worker whose eventfd was `event`, except those to keep. */
export function closeOrphans(event: number, keep: ReadonlySet<number>): number {
  let closed = 0;
  for (const epoll of epollInstances()) {
    const registered = descriptorsOf(epoll);
    if (!registered.includes(event)) continue;
    // First the instance: it must report nothing more about a listener that another worker takes.
    closeSync(epoll);
    for (const fd of registered) {
      if (keep.has(fd) || fd === event) continue;
      // A FIN would tell the other end that it has got everything.
      setReset(fd);
      closeSync(fd);
      closed += 1;
    }
  }
  return closed;
}

function epollInstances(): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]';
      } catch {
        return false; // The descriptor by which the folder was read.
      }
    });
}

/** The descriptors registered in an epoll instance: lines such as `tfd:       12 events: …`. */
function descriptorsOf(epoll: number): number[] {
  const text = readFileSync(`/proc/self/fdinfo/${epoll}`, 'utf8');
  return Array.from(text.matchAll(/^tfd:\s+(\d+)/gm), ([, fd]) => Number(fd));
}
