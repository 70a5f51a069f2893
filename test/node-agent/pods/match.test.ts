/** Which namespace is whose, from addresses that come and go. */
import { test } from 'tap';
import { type Known, matchPods, type MatchPod, type Pin } from '../../../node-agent/pods/match.ts';

const NOTHING = { told: new Map(), before: new Map(), lost: new Map() };

function pin(key: string, ...addresses: string[]): Pin {
  return { key, addresses };
}

function pod(podUid: string, ...addresses: string[]): MatchPod {
  return { podUid, addresses, isEnding: () => false };
}

function match(pins: readonly Pin[], pods: readonly MatchPod[], known: Partial<Known> = {}) {
  return Object.fromEntries(matchPods(pins, pods, { ...NOTHING, ...known }));
}

const X = '10.0.0.1';
const Y = '10.0.0.2';

test('matchPods() finds a pod by any of its addresses', async (t) => {
  const pins = [pin('p', X, 'fd00::1', '192.168.1.1'), pin('q', Y), pin('r')];
  t.strictSame(match(pins, [pod('a', 'fd00::1'), pod('b', Y), pod('c', '10.0.0.3'), pod('d')]), {
    a: 'p',
    b: 'q',
  });
});

test('matchPods() gives nothing where two pods or two namespaces have the same address', async (t) => {
  t.strictSame(match([pin('p', X)], [pod('a', X), pod('b', X)]), {});
  t.strictSame(match([pin('p', X), pin('q', X)], [pod('a', X)]), {});
  t.strictSame(match([pin('p', X), pin('q', Y)], [pod('a', X, Y)]), {});
  t.strictSame(match([pin('p', X)], [pod('a', X)]), { a: 'p' });
});

test('matchPods() believes the runtime before any address', async (t) => {
  const told = new Map([['a', 'q']]);
  t.strictSame(match([pin('p', X), pin('q', Y)], [pod('a', X), pod('b', Y)], { told }), { a: 'q' });
  t.strictSame(match([pin('q')], [], { told }), { a: 'q' }, 'also of a pod without a record');
  t.strictSame(
    match([pin('p', X)], [pod('a', X)], { told }),
    { a: 'p' },
    'not of one that is gone',
  );
});

test('matchPods() lets a pod keep its namespace, whatever address it has there', async (t) => {
  const before = new Map([['a', 'p']]);
  t.strictSame(match([pin('p')], [pod('a', X)], { before }), { a: 'p' });
  const reused = match([pin('p'), pin('q', X)], [pod('a', X)], { before });
  t.strictSame(reused, { a: 'p' }, 'its old address is in another: that is not its own');
});

test('matchPods() gives the namespace of a former pod to the one that comes with its address', async (t) => {
  const before = new Map([['a', 'p']]);
  t.strictSame(match([pin('p', X)], [pod('a', X), pod('b', X)], { before }), { b: 'p' });
});

test('matchPods() gives a pod that lost its namespace no other by the address that it had', async (t) => {
  const lost = new Map([['a', [X]]]);
  t.strictSame(match([pin('q', X)], [pod('a', X)], { lost }), {});
  t.strictSame(match([pin('q', X)], [pod('a', X), pod('b', X)], { lost }), { b: 'q' });
  t.strictSame(
    match([pin('q', Y)], [pod('a', Y)], { lost }),
    { a: 'q' },
    'a new sandbox has another',
  );
});

test('matchPods() gives nothing new to a pod that ends', async (t) => {
  const ending = { ...pod('a', X), isEnding: () => true };
  t.strictSame(match([pin('p', X)], [ending]), {});
  const before = new Map([['a', 'p']]);
  t.strictSame(match([pin('p', X)], [ending], { before }), { a: 'p' });
});
