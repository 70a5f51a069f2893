/** Fault scenarios that press on an agent or take something away from it, in their short form. */
import { scenario as connectionSpike } from '../faults/connection-spike.ts';
import { scenario as cpuLimited } from '../faults/cpu-limited.ts';
import { scenario as descriptorsOut } from '../faults/descriptors-out.ts';
import { scenario as diskFull } from '../faults/disk-full.ts';
import { scenario as idleConnections } from '../faults/idle-connections.ts';
import { scenario as lossyLink } from '../faults/lossy-link.ts';
import { scenario as memoryLimited } from '../faults/memory-limited.ts';
import { shortForm } from '../faults/short-form.ts';
import { scenario as slowReader } from '../faults/slow-reader.ts';

for (const scenario of [
  slowReader,
  idleConnections,
  connectionSpike,
  descriptorsOut,
  diskFull,
  memoryLimited,
  cpuLimited,
  lossyLink,
])
  shortForm(scenario);
