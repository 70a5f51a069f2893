/**
 * The fault scenarios in their short form, one after another; docs/faults.md says which have theirs
 * elsewhere. What waits for half a minute of silence is in faults-waits.test.ts.
 */
import { test } from 'tap';
import { scenario as addressReuse } from '../faults/address-reuse.ts';
import { scenario as agentKilled } from '../faults/agent-killed.ts';
import { scenario as connectionSpike } from '../faults/connection-spike.ts';
import { scenario as cpuLimited } from '../faults/cpu-limited.ts';
import { scenario as descriptorsOut } from '../faults/descriptors-out.ts';
import { scenario as diskFull } from '../faults/disk-full.ts';
import { scenario as dnsUpstream } from '../faults/dns-upstream.ts';
import { scenario as halfClose } from '../faults/half-close.ts';
import { scenario as idleConnections } from '../faults/idle-connections.ts';
import { scenario as ipv6Only } from '../faults/ipv6-only.ts';
import { scenario as lossyLink } from '../faults/lossy-link.ts';
import { scenario as memoryLimited } from '../faults/memory-limited.ts';
import { scenario as podChurn } from '../faults/pod-churn.ts';
import { scenario as reconnectStorm } from '../faults/reconnect-storm.ts';
import { scenario as rootRotated } from '../faults/root-rotated.ts';
import { scenario as slowReader } from '../faults/slow-reader.ts';
import { scenario as workerKilled } from '../faults/worker-killed.ts';
import { needsRoot as skip } from '../helpers/netns.ts';

for (const scenario of [
  agentKilled,
  reconnectStorm,
  rootRotated,
  halfClose,
  slowReader,
  idleConnections,
  connectionSpike,
  descriptorsOut,
  diskFull,
  memoryLimited,
  cpuLimited,
  lossyLink,
  podChurn,
  addressReuse,
  dnsUpstream,
  ipv6Only,
  workerKilled,
]) {
  test(scenario.title, { skip }, async (t) => {
    const { figures, passed, why } = await scenario.run({ quick: true });
    t.comment(JSON.stringify(figures));
    t.ok(passed, why ?? scenario.name);
  });
}
