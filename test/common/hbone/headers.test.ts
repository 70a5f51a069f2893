import { test } from 'tap';
import {
  encodeRequest,
  encodeResponse,
  parseAuthority,
  readRequest,
  readResponse,
  requestBytes,
  responseBytes,
  type ConnectRequest,
} from '../../../common/hbone/headers.ts';
import {
  formatBaggage,
  formatForwarded,
  formatTraceparent,
  parseBaggage,
  parseForwarded,
  parseTraceparent,
} from '../../../common/hbone/hints.ts';
import { HpackDecoder } from '../../../common/http2/hpack-decoder.ts';
import { HpackEncoder } from '../../../common/http2/hpack-encoder.ts';
import { readMessage, type Message } from '../../../common/http2/message.ts';

function message(kind: 'request' | 'response', bytes: Buffer, to: number): Message {
  const read = readMessage(new HpackDecoder(65_536).decode(bytes, 0, to), kind);
  if (typeof read === 'string') throw new TypeError(read);
  return read;
}

function request(fields: readonly (readonly [string, string])[], method = 'CONNECT') {
  return readRequest({
    pseudo: new Map([
      ['method', method],
      ['authority', '10.0.0.7:80'],
    ]),
    fields: fields.map(([name, value]) => ({ name, value })),
  });
}

const FULL: ConnectRequest = {
  authority: '[fd00::7]:8080',
  baggage: 'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop',
  forwarded: 'for="10.244.0.9:41234";host=cart.shop.svc.cluster.local',
  traceparent: '00-1f0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c-9a9a9a9a9a9a9a9a-00',
  source: 'spiffe://cluster.local/ns/shop/sa/web',
  network: 'east',
};

test('encodeRequest() and readRequest() agree, within the bytes announced', async (t) => {
  for (const wanted of [FULL, { authority: 'cart.shop.svc.cluster.local:80' }]) {
    const bytes = Buffer.alloc(requestBytes(wanted));
    const encoder = new HpackEncoder();
    encoder.begin(bytes, 0);
    encodeRequest(encoder, wanted);
    t.ok(encoder.end() <= bytes.length);
    t.strictSame(readRequest(message('request', bytes, encoder.end())), wanted);
  }
});

test('requestBytes() is enough for values of any length', async (t) => {
  for (const length of [0, 1, 126, 127, 300, 4000]) {
    const wanted = { authority: 'a:1', baggage: 'b'.repeat(length), source: 's'.repeat(length) };
    const bytes = Buffer.alloc(requestBytes(wanted));
    const encoder = new HpackEncoder();
    encoder.begin(bytes, 0);
    encodeRequest(encoder, wanted);
    t.ok(encoder.end() <= bytes.length, `${length}`);
  }
});

test('encodeResponse() and readResponse() agree', async (t) => {
  const response = { baggage: 'service.name=cart', reason: 'POLICY_DENIED' };
  const bytes = Buffer.alloc(responseBytes(response));
  const encoder = new HpackEncoder();
  encoder.begin(bytes, 0);
  encodeResponse(encoder, 401, response);
  const read = message('response', bytes, encoder.end());
  t.equal(read.pseudo.get('status'), '401');
  t.strictSame(readResponse(read), response);
});

test('readResponse() takes for a reason a code and no other text', async (t) => {
  const reasonOf = (value: string) =>
    readResponse({
      pseudo: new Map([['status', '503']]),
      fields: [{ name: 'plumbline-reason', value }],
    }).reason;
  t.equal(reasonOf('CONNECT_FAILED'), 'CONNECT_FAILED');
  for (const bad of ['', 'no', 'A'.repeat(65), 'A B', 'A\u009b31m', 'OK\u2028{"level":"info"}']) {
    t.equal(reasonOf(bad), undefined, Buffer.from(bad).toString('hex'));
  }
});

test('readRequest() takes any request whose authority is good, whatever else it says', async (t) => {
  t.strictSame(request([]), { authority: '10.0.0.7:80' });
  t.strictSame(request([['x-unknown', 'y']]), { authority: '10.0.0.7:80' });
  t.strictSame(request([['baggage', 'x'.repeat(4097)]]), { authority: '10.0.0.7:80' });
  t.match(
    request([
      ['baggage', 'a=b'],
      ['baggage', 'c=d'],
    ]),
    { baggage: 'a=b,c=d' },
  );
});

test('readRequest() refuses another method, an odd authority and a doubled source', async (t) => {
  t.match(request([], 'GET'), { invalid: 'the method is not CONNECT' });
  const twice: [string, string] = ['plumbline-source', 'spiffe://cluster.local/ns/a/sa/b'];
  t.match(request([twice, twice]), { invalid: 'plumbline-source stands more than once' });
});

test('parseAuthority() takes address:port, [address]:port and host:port, and nothing else', async (t) => {
  const good: readonly [string, string, number, boolean][] = [
    ['10.0.0.7:80', '10.0.0.7', 80, true],
    ['[fd00::7]:80', 'fd00::7', 80, true],
    ['[FD00:0::7]:65535', 'fd00::7', 65_535, true],
    ['[::ffff:10.0.0.7]:1', '10.0.0.7', 1, true],
    ['cart.shop.svc.cluster.local:8080', 'cart.shop.svc.cluster.local', 8080, false],
    ['CART:80', 'cart', 80, false],
    ['_grpc._tcp.cart:80', '_grpc._tcp.cart', 80, false],
  ];
  for (const [text, host, port, isAddress] of good) {
    t.strictSame(parseAuthority(text), { host, isAddress, port }, text);
  }
  const bad = [
    '',
    '10.0.0.7',
    '10.0.0.7:',
    ':80',
    '10.0.0.7:0',
    '10.0.0.7:65536',
    '10.0.0.7:8o',
    '10.0.0.7:080000',
    '10.0.0.007:80',
    '256.0.0.1:80',
    'fd00::7:80',
    '[fd00::7]',
    '[fd00::7%eth0]:80',
    '[cart]:80',
    'user@cart:80',
    'cart:80/path',
    'cart..shop:80',
    '-cart:80',
    ' cart:80',
    'cart\0:80',
    `${'a'.repeat(64)}:80`,
    `${'a.'.repeat(130)}a:80`,
  ];
  for (const text of bad) t.equal(parseAuthority(text), undefined, text);
});

test('formatBaggage() spells as ztunnel does, and parseBaggage() reads it back', async (t) => {
  const baggage = {
    cluster: 'Kubernetes',
    namespace: 'shop',
    workloadType: 'deployment' as const,
    workloadName: 'web',
    serviceName: 'web',
    serviceVersion: 'v2',
    region: 'r1',
    zone: 'r1a',
  };
  const text =
    'k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=web,' +
    'service.name=web,service.version=v2,cloud.region=r1,cloud.availability_zone=r1a';
  t.equal(formatBaggage(baggage), text);
  t.strictSame(parseBaggage(text), baggage);
  t.equal(formatBaggage({ namespace: 'shop', region: '' }), 'k8s.namespace.name=shop');
});

test('parseBaggage() leaves out what it does not know', async (t) => {
  t.strictSame(parseBaggage('k8s.job.name=j, cloud.region=r1,x=y,service.name=,,=,__proto__=z'), {
    workloadType: 'job',
    workloadName: 'j',
  });
  t.strictSame(parseBaggage(''), {});
});

test('formatForwarded() and parseForwarded() agree', async (t) => {
  const both = formatForwarded('10.244.0.9:41234', 'cart.shop.svc.cluster.local');
  t.equal(both, 'for="10.244.0.9:41234";host=cart.shop.svc.cluster.local');
  t.strictSame(parseForwarded(both), {
    client: '10.244.0.9:41234',
    host: 'cart.shop.svc.cluster.local',
  });
  t.equal(formatForwarded('[fd00::9]:1'), 'for="[fd00::9]:1"');
  t.strictSame(parseForwarded('For=1.2.3.4:5; host="x" ;by=z, for=9.9.9.9'), {
    client: '1.2.3.4:5',
    host: 'x',
  });
  for (const odd of ['', 'for', 'for=', 'for="1', 'host=é', '=x', ';;;']) {
    t.strictSame(parseForwarded(odd), {}, odd);
  }
});

test('formatTraceparent() and parseTraceparent() agree', async (t) => {
  const random = Uint8Array.from({ length: 24 }, (_, i) => i + 1);
  const text = formatTraceparent(random);
  t.equal(text, '00-0102030405060708090a0b0c0d0e0f10-1112131415161718-00');
  t.strictSame(parseTraceparent(text), {
    trace: '0102030405060708090a0b0c0d0e0f10',
    span: '1112131415161718',
  });
  t.equal(text.length, 55);
  t.equal(parseTraceparent(`${text}0`), undefined);
  t.equal(parseTraceparent(`01${text.slice(2)}`), undefined);
  t.equal(parseTraceparent(formatTraceparent(new Uint8Array(24))), undefined);
});
