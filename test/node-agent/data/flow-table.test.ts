/** Worker's and main's side of the counters, over one piece of shared memory. */
import { test } from 'tap';
import {
  FLOW_ROWS,
  FlowReader,
  FlowTable,
  newCounterMemory,
  type FlowLabels,
} from '../../../node-agent/data/flow-table.ts';

const party = {
  workload: 'web',
  canonicalService: 'web',
  canonicalRevision: 'v1',
  namespace: 'shop',
  principal: 'spiffe://cluster.local/ns/shop/sa/web',
  app: 'web',
  version: 'v1',
  cluster: 'Kubernetes',
};
const labels: FlowLabels = {
  reporter: 'source',
  source: party,
  destination: { ...party, workload: 'cart' },
  service: 'cart.shop.svc.cluster.local',
  serviceNamespace: 'shop',
  serviceName: 'cart',
  security: 'mutual_tls',
};

function setUp() {
  const memory = newCounterMemory();
  const reader = new FlowReader(memory);
  let announced = 0;
  const table = new FlowTable(memory, (row, what) => {
    announced += 1;
    reader.learn(row, what);
  });
  return { reader, table, announced: () => announced };
}

test('rowOf() announces a label set once and keeps its row', async (t) => {
  const { reader, table, announced } = setUp();
  const row = table.rowOf('a', () => labels);
  t.equal(
    table.rowOf('a', () => labels),
    row,
  );
  t.equal(announced(), 1);
  table.opened(row);
  table.request(row, 5_000_000_000);
  table.response(row, 7);
  table.closed(row, '-');
  table.closed(row, 'DENY');
  const read = reader.rows()[row];
  t.strictSame(read?.labels, labels);
  t.match(read, {
    opened: 1,
    requestBytes: 5_000_000_000,
    responseBytes: 7,
    closed: { '-': 1, DENY: 1, CONNECT: 0 },
  });
});

test('rowOf() counts label sets beyond the last row together in row 0', async (t) => {
  const { reader, table } = setUp();
  for (let i = 1; i < FLOW_ROWS; i += 1) table.rowOf(String(i), () => labels);
  t.equal(
    table.rowOf('one too many', () => labels),
    0,
  );
  table.opened(0);
  t.match(reader.rows()[0], { labels: undefined, opened: 1 });
  t.equal(
    table.rowOf('1', () => labels),
    1,
    'known ones keep their rows',
  );
});

test('count() and set() are seen by totals()', async (t) => {
  const { reader, table } = setUp();
  table.count('accepted');
  table.count('outboundOpen', 3);
  table.count('outboundOpen', -1);
  table.set('version', 42);
  t.match(reader.totals(), { accepted: 1, outboundOpen: 2, version: 42, inboundOpen: 0 });
});
