/** Questions and answers of DNS: what is ours, what is not, and the bytes of both. */
import { test } from 'tap';
import { answerOf } from '../../../node-agent/data/dns-answer.ts';
import {
  readQuestion,
  TYPE_A,
  TYPE_AAAA,
  writeAnswer,
  writeFailure,
  writeName,
} from '../../../node-agent/data/dns-message.ts';
import { backs, replicas, service, viewOf, workload } from '../../helpers/mesh-build.ts';

const asker = { namespace: 'shop', clusterDomain: 'cluster.local' };

function query(name: string, type = TYPE_A, over: { flags?: number; edns?: number } = {}): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xbeef, 0);
  head.writeUInt16BE(over.flags ?? 0x0100, 2);
  head.writeUInt16BE(1, 4);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(1, 2);
  const opt = Buffer.alloc(over.edns === undefined ? 0 : 11);
  if (over.edns !== undefined) {
    head.writeUInt16BE(1, 10);
    opt.writeUInt16BE(41, 1);
    opt.writeUInt16BE(over.edns, 3);
  }
  return Buffer.concat([head, writeName(name), tail, opt]);
}

test('readQuestion() reads what may be answered', async (t) => {
  t.match(readQuestion(query('Cart.Shop.svc.cluster.local')), {
    id: 0xbeef,
    name: 'cart.shop.svc.cluster.local',
    type: TYPE_A,
    recursionDesired: true,
    udpBytes: 512,
  });
  t.match(readQuestion(query('a.b', TYPE_AAAA, { edns: 1232 })), { udpBytes: 1232 });
  t.match(readQuestion(query('a.b', TYPE_AAAA, { edns: 65535 })), { udpBytes: 4096 });
});

test('readQuestion() leaves everything else to the resolver', async (t) => {
  const good = query('cart.shop');
  const two = Buffer.from(good);
  two.writeUInt16BE(2, 4);
  const pointer = Buffer.from(good);
  pointer[12] = 0xc0;
  const chaos = Buffer.from(good);
  chaos.writeUInt16BE(3, good.length - 2);
  const cases: readonly [string, Uint8Array][] = [
    ['an answer', query('cart.shop', TYPE_A, { flags: 0x8100 })],
    ['another opcode', query('cart.shop', TYPE_A, { flags: 0x2900 })],
    ['two questions', two],
    ['a compressed name', pointer],
    ['another class', chaos],
    ['odd letters', query('a b.c')],
    ['nothing', Buffer.alloc(0)],
  ];
  for (const [name, message] of cases) t.equal(readQuestion(message), undefined, name);
  for (let n = 0; n < good.length; n += 1) {
    t.equal(readQuestion(good.subarray(0, n)), undefined, `cut after ${n} bytes`);
  }
});

test('writeAnswer() spells addresses of the family asked for', async (t) => {
  const message = query('cart.shop.svc.cluster.local');
  const question = readQuestion(message);
  if (question === undefined) throw new TypeError('readQuestion() is tested above');
  const answer = Buffer.from(
    writeAnswer(message, question, {
      addresses: ['10.32.0.7', 'fd00:32::7', '10.32.0.8'],
      canonicalName: undefined,
      ttlSeconds: 30,
      mostBytes: 512,
    }),
  );
  t.equal(answer.readUInt16BE(0), 0xbeef);
  t.equal(answer.readUInt16BE(2), 0x8580);
  t.equal(answer.readUInt16BE(6), 2);
  t.equal(
    answer.subarray(question.end).toString('hex'),
    'c00c00010001' +
      '0000001e' +
      '0004' +
      '0a200007' +
      'c00c00010001' +
      '0000001e' +
      '0004' +
      '0a200008',
  );
});

test('writeAnswer() sets TC rather than write more than the asker takes', async (t) => {
  const message = query('cart.shop.svc.cluster.local', TYPE_AAAA);
  const question = readQuestion(message);
  if (question === undefined) throw new TypeError('readQuestion() is tested above');
  const addresses = Array.from({ length: 100 }, (_, i) => `fd00::${(i + 1).toString(16)}`);
  const options = { addresses, canonicalName: undefined, ttlSeconds: 30 };
  const cut = Buffer.from(writeAnswer(message, question, { ...options, mostBytes: 512 }));
  t.ok(cut.length <= 512);
  t.equal(cut.readUInt16BE(2) & 0x0200, 0x0200);
  const whole = Buffer.from(writeAnswer(message, question, { ...options, mostBytes: 65_535 }));
  t.equal(whole.readUInt16BE(6), 100);
  t.equal(whole.readUInt16BE(2) & 0x0200, 0);
});

test('writeFailure() says SERVFAIL to the question asked', async (t) => {
  const message = query('cart.shop');
  const question = readQuestion(message);
  if (question === undefined) throw new TypeError('readQuestion() is tested above');
  const answer = Buffer.from(writeFailure(message, question));
  t.equal(answer.readUInt16BE(2), 0x8182);
  t.equal(answer.length, question.end);
});

test('answerOf() answers for services by all the names that a pod may use', async (t) => {
  const cart = service('cart', { addresses: ['10.32.0.7', 'fd00:32::7'] });
  const outside = service('api', { hostname: 'api.example.com', addresses: ['240.0.0.9'] });
  const wild = service('wild', { hostname: '*.wild.example', addresses: ['240.0.0.10'] });
  const byName = service('byname', { hostname: 'byname.example', addresses: [] });
  const block = service('block', { hostname: 'block.example', addresses: ['10.9.0.0/16'] });
  const hidden = service('hidden', {
    namespace: 'vault',
    addresses: ['10.32.0.9'],
    visibility: 'namespace',
  });
  const headless = service('peers', { headless: true, addresses: [] });
  const view = viewOf({
    services: [cart, outside, wild, byName, block, hidden, headless],
    workloads: [
      ...replicas('peer', { count: 2, prefix: '10.65.0.', ...backs(headless) }),
      workload('late', { addresses: ['10.65.0.99'], health: 'not-ready', ...backs(headless) }),
    ],
  });
  const ask = (name: string, type = TYPE_A) => answerOf(view, asker, { name, type }, () => 0);
  for (const name of ['cart', 'cart.shop', 'cart.shop.svc', 'cart.shop.svc.cluster.local']) {
    t.strictSame(ask(name)?.addresses, ['10.32.0.7'], name);
    t.strictSame(ask(name, TYPE_AAAA)?.addresses, ['fd00:32::7'], name);
  }
  t.match(ask('api.example.com'), { addresses: ['240.0.0.9'], canonicalName: undefined });
  t.strictSame(
    ask('api.example.com', TYPE_AAAA)?.addresses,
    [],
    'known, with nothing of that kind',
  );
  t.match(ask('api.example.com.shop.svc.cluster.local'), {
    addresses: ['240.0.0.9'],
    canonicalName: 'api.example.com',
  });
  t.strictSame(ask('a.b.wild.example')?.addresses, ['240.0.0.10']);
  t.strictSame(ask('peers')?.addresses.toSorted(), ['10.65.0.1', '10.65.0.2'], 'ready ones only');
  for (const name of [
    'byname.example',
    'block.example',
    'hidden.vault',
    'example.org',
    'wild.example',
  ]) {
    t.equal(ask(name), undefined, name);
  }
  t.equal(ask('cart.shop', 15), undefined, 'MX is not ours');
});
