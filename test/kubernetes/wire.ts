/** Reads every packet that crosses the bridge between the hosts of the test cluster. */
import type { Test } from 'tap';
import { closeNetns, openNetns } from '#common/sys/netns.ts';
import { MARKER, WireWatch } from '../helpers/wire-watch.ts';
import { NODES } from './product.ts';

/** Watches for a text until the test ends. */
export function watchWire(t: Test, marker = MARKER): WireWatch {
  const netns = openNetns(`/run/netns/${process.env['TESTBED_NAME'] ?? ''}-net`);
  const wire = new WireWatch(
    netns,
    NODES.map((node) => `to-${node}`),
    marker,
  );
  t.after(() => {
    wire.stop();
    closeNetns(netns);
  });
  return wire;
}
