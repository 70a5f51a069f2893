/** Access log and TCP metrics, from what data workers report. */
import { test } from 'tap';
import { Metrics } from '../../common/metrics.ts';
import { accessFields, accessLine } from '../../node-agent/data/access-line.ts';
import type { FlowParty, FlowRow } from '../../node-agent/data/flow-table.ts';
import {
  FLAGS,
  stranger,
  type ConnectionRecord,
  type ResponseFlag,
} from '../../node-agent/data/record.ts';
import { PolicyVerdicts, registerTcpMetrics } from '../../node-agent/tcp-metrics.ts';

function record(more: Partial<ConnectionRecord> = {}): ConnectionRecord {
  return {
    id: 1,
    worker: 0,
    direction: 'outbound',
    start: 0,
    durationMs: 12.4,
    source: {
      address: '10.0.0.1',
      port: 4000,
      workload: 'web-1',
      namespace: 'shop',
      identity: 'spiffe://cluster.local/ns/shop/sa/web',
      cluster: 'c1',
    },
    destination: {
      address: 'fd00::2',
      port: 80,
      workload: 'cart-1',
      namespace: 'shop',
      identity: 'spiffe://cluster.local/ns/shop/sa/cart',
      cluster: 'c1',
    },
    service: 'shop/cart.shop.svc.cluster.local',
    hboneAddress: '[fd00::2]:80',
    traceId: '',
    bytesSent: 100,
    bytesReceived: 2000,
    security: 'mutual_tls',
    flag: '-',
    ending: 'closed',
    error: undefined,
    policy: '',
    rule: '',
    nearMiss: '',
    audits: [],
    retries: 0,
    version: 7,
    ...more,
  };
}

const party = (name: string): FlowParty => ({
  workload: name,
  canonicalService: name,
  canonicalRevision: 'v1',
  namespace: 'shop',
  principal: `spiffe://cluster.local/ns/shop/sa/${name}`,
  app: name,
  version: 'v1',
  cluster: '',
});

function row(closed: Partial<Record<ResponseFlag, number>>, labelled = true): FlowRow {
  const none = {
    '-': 0,
    DENY: 0,
    CONNECT: 0,
    TLS_FAILURE: 0,
    H2_HANDSHAKE_FAILURE: 0,
    NETWORK_POLICY: 0,
    IDENTITY_ERROR: 0,
    CERT_REVOKED: 0,
  };
  return {
    labels: labelled
      ? {
          reporter: 'source',
          source: party('web'),
          destination: party('cart'),
          service: 'cart.shop.svc.cluster.local',
          serviceNamespace: 'shop',
          serviceName: 'cart',
          security: 'mutual_tls',
        }
      : undefined,
    opened: 3,
    requestBytes: 10,
    responseBytes: 20,
    closed: { ...none, ...closed },
  };
}

test('accessFields() names both ends, and leaves out what is not known', async (t) => {
  const fields = accessFields(record());
  t.match(fields, {
    'src.addr': '10.0.0.1:4000',
    'src.workload': 'web-1',
    'dst.addr': '[fd00::2]:80',
    'dst.service': 'cart.shop.svc.cluster.local',
    'dst.identity': 'spiffe://cluster.local/ns/shop/sa/cart',
    duration: '12ms',
    config_version: 7,
  });
  t.equal(fields['flags'], undefined);
  t.equal(fields['policy'], undefined);
  t.equal(fields['audit'], undefined);
});

test('accessFields() of a refusal carries policy, rule and near miss', async (t) => {
  const fields = accessFields(
    record({
      direction: 'inbound',
      flag: 'DENY',
      error: { code: 'POLICY_DENIED', message: 'no ALLOW rule matches' },
      policy: 'authorization/shop/cart',
      rule: 'rules[0]',
      nearMiss: 'port 81 is not 80',
      source: stranger('10.9.9.9', 1),
      audits: [{ policy: 'a', rule: 'r', wouldDeny: true }],
    }),
  );
  t.match(fields, {
    flags: 'DENY',
    code: 'POLICY_DENIED',
    policy: 'authorization/shop/cart',
    near_miss: 'port 81 is not 80',
    audit: ['would deny: a r'],
  });
  t.equal(fields['src.workload'], undefined);
});

const odd = 'a "quoted" \\ text\n';

for (const one of [
  record(),
  record({ start: 1_700_000_000_000, retries: 2, traceId: 'ab'.repeat(16) }),
  record({
    flag: 'DENY',
    ending: 'refused',
    error: { code: 'POLICY_DENIED', message: odd },
    policy: odd,
    rule: odd,
    nearMiss: odd,
    source: stranger('10.9.9.9', 1),
    service: '',
    hboneAddress: '',
    audits: [{ policy: odd, rule: 'r', wouldDeny: true }],
  }),
]) {
  test(`accessLine() in JSON has the fields of accessFields(), flag ${one.flag}`, async (t) => {
    const node = 'node "1"';
    const line = accessLine(one, { format: 'json', node });
    const failed = one.error !== undefined;
    const fields = Object.entries(accessFields(one)).filter(([, value]) => value !== undefined);
    t.strictSame(JSON.parse(line), {
      time: new Date(one.start + Math.round(one.durationMs)).toISOString(),
      level: failed ? 'error' : 'info',
      message: failed ? 'connection failed' : 'connection complete',
      log: 'access',
      node,
      ...Object.fromEntries(fields),
    });
    t.notOk(line.includes('\n'), 'one line');
    t.match(
      accessLine(one, { format: 'text', node }),
      /^\S+Z (info |error) connection .* src\.addr=/,
    );
  });
}

test('TCP metrics merge rows of equal labels, and say which flag', async (t) => {
  const metrics = new Metrics();
  registerTcpMetrics(metrics, () => [row({ '-': 2 }), row({ DENY: 1, '-': 1 })]);
  const text = await metrics.text();
  t.match(
    text,
    /istio_tcp_received_bytes_total\{reporter="source",source_workload="web",.*source_cluster="unknown".*\} 20\n/,
  );
  t.match(text, /istio_tcp_sent_bytes_total\{.*\} 40\n/);
  t.match(text, /istio_tcp_connections_opened_total\{.*\} 6\n/);
  t.match(text, /istio_tcp_connections_closed_total\{.*response_flags="-".*\} 3\n/);
  t.match(text, /istio_tcp_connections_failed_total\{.*response_flags="DENY".*\} 1\n/);
  t.equal(text.match(/^istio_tcp_connections_failed_total\{/gm)?.length, 1);
  t.ok(FLAGS.includes('DENY'));
});

test('TCP metrics spell the shared row of overflowing labels', async (t) => {
  const metrics = new Metrics();
  registerTcpMetrics(metrics, () => [row({ '-': 5 }, false)]);
  t.match(await metrics.text(), /istio_tcp_connections_closed_total\{reporter="overflow",.*\} 5\n/);
});

test('PolicyVerdicts counts refusals and dry runs, within a bound', async (t) => {
  const metrics = new Metrics();
  const verdicts = new PolicyVerdicts();
  verdicts.register(metrics);
  verdicts.count(record({ policy: 'p', rule: 'r' }));
  verdicts.count(record({ audits: [{ policy: 'q', rule: 's', wouldDeny: true }] }));
  for (let i = 0; i < 10_010; i += 1) verdicts.count(record({ policy: `x${i}`, rule: 'r' }));
  const text = await metrics.text();
  t.match(text, /plumbline_policy_verdicts_total\{policy="p",rule="r",verdict="denied"\} 1\n/);
  t.match(text, /plumbline_policy_verdicts_total\{policy="q",rule="s",verdict="would-deny"\} 1\n/);
  t.match(text, /\{policy="overflow",rule="overflow",verdict="overflow"\} 12\n/);
});
