/**
 * What is done with a connection that the rules led to us, before it is an outbound connection: who
 * speaks and where it was bound is asked of the kernel, and probes of the proof are told apart.
 */
import { closeFd, localOf, peerOf } from '#common/sys/libc.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import { originalDestination, setReset } from '#common/sys/socket-options.ts';
import { Flow } from './flow.ts';
import * as limits from './limits.ts';
import { Outbound } from './outbound.ts';
import type { Pod } from './pod.ts';
import { isProbeDestination } from './probe.ts';

/** Takes a connection that the rules led to us. */
export function acceptOutbound(pod: Pod, fd: number): void {
  const source = peerOf(fd);
  const destination = originalDestination(fd) ?? localOf(fd);
  if (source === undefined || destination === undefined) {
    closeFd(fd); // Reset already.
    return;
  }
  if (isProbeDestination(destination.address)) {
    pod.shared.table.count('probes');
    pod.shared.tellProbe({
      podUid: pod.plan.podUid,
      direction: 'outbound',
      address: destination.address,
      port: destination.port,
      sourcePort: source.port,
    });
    setReset(fd);
    closeFd(fd);
    return;
  }
  const flow = new Flow(pod.shared.flows, {
    direction: 'outbound',
    podUid: pod.plan.podUid,
    source: { ...source, workload: pod.workload(), identity: '' },
    destination: { ...destination, workload: undefined, identity: '' },
  });
  const outbound = new Outbound(pod, fd, destination, flow);
  // Led on to where it was bound, it would come back, by whichever address of the pod that is.
  if (isOwnAddress(fd, destination)) outbound.refuse('LOOP_REFUSED', 'no rule led it here');
  else outbound.begin();
}

/** Whether the socket's own address is `to`; the kernel is asked only where the port leaves it open. */
function isOwnAddress(fd: number, to: Endpoint): boolean {
  if (to.port !== limits.OUTBOUND_PORT) return false;
  return localOf(fd)?.address === to.address;
}
