import { test } from 'tap';
import { decodeText, integer, list, object, partial, text } from '#common/control/decode.ts';
import { decodeAgentMessage, decodeControllerMessage } from '#common/control/schema.ts';
import { MeshError } from '#common/errors.ts';
import { localPod, policy, ruleOf, service, workload } from '../../helpers/mesh-build.ts';

const hello = {
  type: 'hello',
  protocols: [1],
  node: 'a',
  instance: 'i',
  version: '1',
  resume: null,
};

const update = {
  type: 'update',
  version: 7,
  snapshot: true,
  part: 0,
  last: true,
  workloads: [workload('cart', { addresses: ['10.0.0.1', 'fd00::1'], policies: ['p'] })],
  services: [service('cart', { addresses: ['10.1.0.1', '10.2.0.0/16'] })],
  policies: [policy('p', ruleOf({ namespaces: ['a'], destinationPorts: [{ from: 1, to: 2 }] }))],
  pods: [localPod(workload('cart'))],
  removed: { workloads: ['x'], services: [], policies: [], pods: [] },
};

/** Why the controller refuses this message of an agent. */
function refusal(message: unknown): string {
  const spelled = typeof message === 'string' ? message : JSON.stringify(message);
  try {
    decodeAgentMessage(spelled);
  } catch (error) {
    if (error instanceof MeshError && error.code === 'MESSAGE_INVALID') return error.message;
    throw error;
  }
  return 'taken';
}

test('decodeAgentMessage() takes exactly what the protocol says', async (t) => {
  t.strictSame(decodeAgentMessage(JSON.stringify(hello)), hello);
  const csr = { type: 'certificate-request', id: 1, identity: 'spiffe://x', csr: 'PEM\n' };
  t.strictSame(decodeAgentMessage(JSON.stringify(csr)), csr);
});

test('decodeAgentMessage() names the first thing that is wrong, and where', async (t) => {
  const proof = {
    podUid: 'p',
    namespace: 'n',
    name: 'n',
    direction: 'inbound',
    family: 4,
    outcome: 'captured',
    reason: '',
    atMs: 1,
  };
  const table: [unknown, string][] = [
    ['{', 'not JSON'],
    ['null', 'the message: expected an object with a type, found null'],
    [[], 'the message: expected an object with a type, found a list of 0'],
    [{ type: 'welcome' }, 'type: expected a known type, found "welcome"'],
    [{ type: '__proto__' }, 'type: expected a known type, found "__proto__"'],
    [{ type: ['hello'] }, 'type: expected a known type, found a list of 1'],
    [{ ...hello, extra: 1 }, 'extra: expected no such field, found 1'],
    [{ ...hello, node: 1 }, 'node: expected text, found 1'],
    [{ ...hello, node: 'a\0b' }, 'node: expected no control characters'],
    [{ ...hello, node: 'a'.repeat(254) }, 'node: expected at most 253 characters'],
    [{ ...hello, protocols: [1.5] }, 'protocols[0]: expected an integer from 1 to 1000000'],
    [{ ...hello, resume: { epoch: 'e' } }, 'resume.version: expected a value, found nothing'],
    [{ ...hello, resume: { epoch: '../e', version: 1 } }, 'resume.epoch: expected an epoch'],
    [{ type: 'proof', rows: [proof, { ...proof, family: 5 }] }, 'rows[1].family: expected one of'],
    [{ type: 'applied', version: -1 }, 'version: expected an integer'],
    [{ type: 'applied', version: '7' }, 'version: expected an integer'],
    [{ type: 'applied' }, 'version: expected a value, found nothing'],
  ];
  for (const [message, found] of table) {
    t.match(refusal(message), `Cannot read a message of the agent: ${found}`);
  }
});

test('decodeAgentMessage() refuses keys that would reach a prototype', async (t) => {
  for (const key of ['__proto__', 'constructor', 'prototype', 'toString']) {
    const message = JSON.stringify(hello).replace('{', `{"${key}":{"polluted":1},`);
    t.match(refusal(message), `${key}: expected no such field`);
  }
  t.equal(Object.hasOwn(Object.prototype, 'polluted'), false);
});

test('decodeAgentMessage() bounds size and depth before anything is built', async (t) => {
  t.match(refusal(' '.repeat(300_000)), 'more than 262144');
  t.match(refusal('['.repeat(10_000)), 'nested deeper than 16');
  t.match(refusal('{"a":'.repeat(10_000)), 'nested deeper than 16');
  const brackets = '['.repeat(100);
  t.match(
    refusal({ ...hello, node: `"${brackets}\\"${brackets}\\` }),
    'taken',
    'brackets in a string are no depth',
  );
});

test('decodeControllerMessage() takes an update with every kind of object', async (t) => {
  t.strictSame(decodeControllerMessage(JSON.stringify(update)), update);
});

test('decodeControllerMessage() refuses objects that nobody could use', async (t) => {
  const refused = (kind: string, value: unknown): string => {
    try {
      decodeControllerMessage(JSON.stringify({ ...update, [kind]: [value] }));
    } catch (error) {
      if (error instanceof MeshError) return error.message;
      throw error;
    }
    return 'taken';
  };
  const table: [string, unknown, string][] = [
    ['workloads', { ...workload('a'), addresses: ['010.0.0.1'] }, 'addresses[0]: expected a canon'],
    ['workloads', { ...workload('a'), addresses: ['FD00::1'] }, 'addresses[0]: expected a canon'],
    ['workloads', { ...workload('a'), tunnel: 'other' }, 'tunnel: expected one of hbone, none'],
    ['workloads', { ...workload('a'), weight: -1 }, 'weight: expected an integer'],
    ['services', { ...service('a'), addresses: ['10.0.0.0/33'] }, 'addresses[0]: expected an addr'],
    [
      'policies',
      { ...policy('p'), rules: [{ name: 'r', clauses: [{ matches: [{ other: ['x'] }] }] }] },
      'other: expected no such field',
    ],
    [
      'policies',
      { ...policy('p'), action: 'custom' },
      'action: expected one of allow, deny, audit',
    ],
    ['pods', { ...localPod(workload('a')), enrolled: 1 }, 'enrolled: expected true or false'],
  ];
  for (const [kind, value, found] of table) t.match(refused(kind, value), found);
});

test('decodeText() reports errors that are not of the input as they are', async (t) => {
  const broken = (): never => {
    throw new RangeError('ours');
  };
  t.throws(() => decodeText('1', { what: 'x', decoder: broken, maxLength: 9 }), /ours/);
});

test('decodeText() says which fields of partial objects and lists are wrong', async (t) => {
  const decoder = list(partial<{ a?: number }>({ a: integer(0, 9) }), 2);
  const read = (message: string): unknown =>
    decodeText(message, { what: 'x', decoder, maxLength: 99 });
  t.strictSame(read('[{},{"a":1}]'), [{}, { a: 1 }]);
  t.throws(() => read('[{},{"a":10}]'), /x: \[1\]\.a: expected an integer from 0 to 9, found 10/);
  t.throws(() => read('[1,2,3]'), /expected at most 2 entries/);
  t.throws(() => read('{}'), /expected a list, found an object/);
  const named = object<{ a: string }>({ a: text(3) });
  t.throws(
    () => decodeText('{"a":"abcd"}', { what: 'x', decoder: named, maxLength: 99 }),
    /a: expected at most 3 characters, found "abcd"/,
  );
});
