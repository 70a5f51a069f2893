import { test } from 'tap';
import type { ProofRow } from '#common/control/messages.ts';
import { capturedOf } from '../../../controller/status/captured.ts';

type Outcome = ProofRow['outcome'];

function row(place: string, outcome: Outcome, { reason = '', atMs = 1000 } = {}): ProofRow {
  const [direction = '', family = ''] = place.split(' ');
  return {
    podUid: '1',
    namespace: 'shop',
    name: 'cart',
    direction: direction === 'inbound' ? 'inbound' : 'outbound',
    family: family === 'IPv6' ? 6 : 4,
    outcome,
    reason,
    atMs,
  };
}

test('capturedOf() is true when all that applies is captured, as of the oldest look', async (t) => {
  const rows = [
    row('outbound IPv4', 'captured', { atMs: 3000 }),
    row('inbound IPv4', 'captured', { atMs: 2000 }),
    row('inbound IPv6', 'not-applicable', { reason: 'no address', atMs: 1 }),
  ];
  t.strictSame(capturedOf(rows), {
    isCaptured: true,
    reason: 'Proven',
    message: 'inbound IPv4, outbound IPv4',
    provenMs: 2000,
  });
});

test('capturedOf() is false as soon as one direction is not, and says which and why', async (t) => {
  const rows = [
    row('outbound IPv4', 'captured'),
    row('inbound IPv4', 'not-captured', { reason: 'no connection arrived' }),
  ];
  t.match(capturedOf(rows), {
    isCaptured: false,
    reason: 'NotCaptured',
    message: 'inbound IPv4: no connection arrived',
  });
});

test('capturedOf() says nothing of a pod to which nothing applies', async (t) => {
  t.equal(capturedOf([]), undefined);
  t.equal(capturedOf([row('inbound IPv4', 'not-applicable')]), undefined);
});
