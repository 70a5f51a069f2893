import { test } from 'tap';
import type { SessionPersistence } from '#common/mesh/route.ts';
import { EndpointSet } from '../../../waypoint/resilience/endpoint-set.ts';
import {
  cookieValue,
  mustTell,
  readSession,
  sessionCookie,
  sessionValue,
} from '../../../waypoint/resilience/session-persistence.ts';

const CONFIG: SessionPersistence = {
  kind: 'cookie',
  name: 'stay',
  isPermanent: false,
  absoluteTimeoutMs: 0,
  idleTimeoutMs: 0,
};
const HOUR = 3_600_000;

function setUp() {
  const set = new EndpointSet();
  set.update(
    ['shop/cart-0', 'shop/cart-1'].map((id) => ({ id, weight: 1, level: 0 })),
    0,
  );
  const endpoint = set.get('shop/cart-1');
  if (endpoint === undefined) throw new Error('no endpoint');
  return { set, endpoint };
}

test('a session stays with its endpoint, and its value does not tell where that is', async (t) => {
  const { set, endpoint } = setUp();
  const value = sessionValue({ endpoint, beganMs: HOUR }, HOUR);
  t.match(value, /^[0-9a-z]+\.[0-9a-z]+\.[0-9a-z]+$/);
  t.notMatch(value, 'cart');
  t.equal(readSession(set, CONFIG, value, 100 * HOUR)?.endpoint, endpoint);
  const other = setUp();
  t.equal(
    readSession(other.set, CONFIG, value, HOUR)?.endpoint.id,
    'shop/cart-1',
    'another waypoint reads it the same way',
  );
});

test('a session ends with its times, and with its endpoint', async (t) => {
  const { set, endpoint } = setUp();
  const value = sessionValue({ endpoint, beganMs: HOUR }, 2 * HOUR);
  const at = (ms: number, more: Partial<SessionPersistence>): boolean =>
    readSession(set, { ...CONFIG, ...more }, value, ms) !== undefined;
  t.ok(at(3 * HOUR - 1000, { idleTimeoutMs: HOUR }));
  t.notOk(at(3 * HOUR, { idleTimeoutMs: HOUR }));
  t.ok(at(4 * HOUR - 1000, { absoluteTimeoutMs: 3 * HOUR }));
  t.notOk(at(4 * HOUR, { absoluteTimeoutMs: 3 * HOUR }));
  set.setOut(endpoint, true);
  endpoint.outUntilMs = Infinity;
  t.notOk(at(2 * HOUR, {}), 'an endpoint that is out');
  set.setOut(endpoint, false);
  t.ok(at(2 * HOUR, {}));
  set.update([{ id: 'shop/cart-0', weight: 1, level: 0 }], 0);
  t.notOk(at(2 * HOUR, {}), 'an endpoint that is gone');
});

test('readSession() takes no value that it has not made', async (t) => {
  const { set, endpoint } = setUp();
  const good = sessionValue({ endpoint, beganMs: HOUR }, HOUR);
  t.ok(readSession(set, CONFIG, good, HOUR));
  for (const value of [
    undefined,
    '',
    'x',
    'a.b.c',
    `${good}.x`,
    `${endpoint.token}.!.1`,
    `${endpoint.token}.1`,
    `${endpoint.token}.1.`,
    `__proto__.1.1`,
    `${good}${' '.repeat(100)}`,
  ]) {
    t.equal(readSession(set, CONFIG, value, HOUR), undefined, `${value}`);
  }
});

test('the client is told of a new session, another endpoint, and to set idle time back', async (t) => {
  const { set, endpoint } = setUp();
  const known = { endpoint, beganMs: 0 };
  const other = set.get('shop/cart-0');
  t.ok(mustTell(CONFIG, undefined, endpoint));
  t.notOk(mustTell(CONFIG, known, endpoint));
  if (other !== undefined) t.ok(mustTell(CONFIG, known, other));
  t.ok(mustTell({ ...CONFIG, idleTimeoutMs: 1 }, known, endpoint));
});

test('sessionCookie() and cookieValue() write and read one cookie', async (t) => {
  t.equal(sessionCookie(CONFIG, 'v', false), 'stay=v; Path=/; HttpOnly; SameSite=Lax');
  t.equal(
    sessionCookie({ ...CONFIG, isPermanent: true, absoluteTimeoutMs: HOUR }, 'v', true),
    'stay=v; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax',
  );
  t.equal(cookieValue('a=1; stay=x.y.z ;b=2', 'stay'), 'x.y.z');
  t.equal(cookieValue('astay=1; x', 'stay'), undefined);
  t.equal(cookieValue('stay=a=b', 'stay'), 'a=b');
  t.equal(cookieValue(undefined, 'stay'), undefined);
});
