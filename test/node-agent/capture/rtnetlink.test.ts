import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { changeRequest, listRequest, parseReply } from '../../../node-agent/capture/rtnetlink.ts';
import { compareRouting } from '../../../node-agent/capture/routing.ts';

const MARK = { mark: 0x411, mask: 0xfff };

/** What adds a rule or route has the form in which the kernel lists it. */
const listed = (what: 'rule' | 'route', family: 4 | 6 = 4): Buffer =>
  changeRequest(what, 'add', { family, ...MARK });

function head(type: number, payload: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32LE(20, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeInt32LE(payload, 16);
  return bytes;
}

const DONE = head(3, 0);

test('parseReply() counts what is exactly ours', async (t) => {
  for (const family of [4, 6] as const) {
    for (const what of ['rule', 'route'] as const) {
      const twice = Buffer.concat([listed(what, family), listed(what, family), DONE]);
      t.strictSame(parseReply(twice, MARK), { ours: 2, isLast: true, error: 0 });
    }
  }
  t.strictSame(parseReply(listed('rule'), MARK), { ours: 1, isLast: false, error: 0 });
});

test('parseReply() counts nothing that differs in any byte that matters', async (t) => {
  t.equal(parseReply(listed('rule'), { ...MARK, mark: 0x111 }).ours, 0);
  t.equal(parseReply(listed('rule'), { ...MARK, mask: 0xffff }).ours, 0);
  for (const what of ['rule', 'route'] as const) {
    const bytes = listed(what);
    // The prefix lengths, the action or type, and the values of the attributes.
    for (const at of [17, 18, 23, ...Array.from({ length: bytes.length - 28 }, (_, i) => 28 + i)]) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      if (parseReply(changed, MARK).ours !== 0) t.fail(`${what}, byte ${at}`);
    }
  }
});

test('parseReply() does not take a narrowed rule for ours', async (t) => {
  const rule = listed('rule');
  const iif = Buffer.from([7, 0, 3, 0, 0x6c, 0x6f, 0, 0]);
  const narrowed = Buffer.concat([rule, iif]);
  narrowed.writeUInt32LE(narrowed.length, 0);
  t.equal(parseReply(narrowed, MARK).ours, 0);
});

test('parseReply() reads a refusal, and an acknowledgement', async (t) => {
  t.strictSame(parseReply(head(2, -17), MARK), { ours: 0, isLast: true, error: -17 });
  t.strictSame(parseReply(head(2, 0), MARK), { ours: 0, isLast: true, error: 0 });
});

test('parseReply() takes any bytes', async (t) => {
  for (let i = 0; i < 5000; i += 1) {
    const bytes = Buffer.concat([listed('rule'), listed('route'), randomBytes(24)]);
    for (let n = 0; n < 4; n += 1) {
      const [at = 0, value = 0] = randomBytes(2);
      bytes[at % bytes.length] = value;
    }
    const { ours } = parseReply(bytes, MARK);
    if (ours > 2) t.fail(bytes.toString('hex'));
  }
});

test('listRequest() asks for one table of routes, and for all rules', async (t) => {
  t.equal(listRequest('route', 4).readUInt8(20), 100);
  t.equal(listRequest('rule', 6).readUInt8(16), 10);
});

test('compareRouting() wants exactly one of each', async (t) => {
  t.strictSame(compareRouting(4, { rules: 1, routes: 1 }), []);
  t.equal(compareRouting(4, { rules: 0, routes: 1 }).length, 1);
  t.equal(compareRouting(6, { rules: 2, routes: 0 }).length, 2);
});
