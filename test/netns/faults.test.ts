/**
 * The fault scenarios in their short form, one after another; docs/faults.md says which have theirs
 * elsewhere. What takes something away from an agent is in faults-limits.test.ts, what waits for half
 * a minute of silence in faults-waits.test.ts.
 */
import { scenario as addressReuse } from '../faults/address-reuse.ts';
import { scenario as agentKilled } from '../faults/agent-killed.ts';
import { scenario as dnsUpstream } from '../faults/dns-upstream.ts';
import { scenario as halfClose } from '../faults/half-close.ts';
import { scenario as ipv6Only } from '../faults/ipv6-only.ts';
import { scenario as podChurn } from '../faults/pod-churn.ts';
import { scenario as reconnectStorm } from '../faults/reconnect-storm.ts';
import { scenario as rootRotated } from '../faults/root-rotated.ts';
import { shortForm } from '../faults/short-form.ts';
import { scenario as workerKilled } from '../faults/worker-killed.ts';

for (const scenario of [
  agentKilled,
  reconnectStorm,
  rootRotated,
  halfClose,
  podChurn,
  addressReuse,
  dnsUpstream,
  ipv6Only,
  workerKilled,
])
  shortForm(scenario);
