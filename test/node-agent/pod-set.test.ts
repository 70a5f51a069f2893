import { test } from 'tap';
import { createLogger } from '../../common/log.ts';
import type { LocalPod } from '../../common/mesh/workload.ts';
import { PodSet, type PodSteps } from '../../node-agent/pod-set.ts';

const { log } = createLogger({ format: 'json', level: 'error', sink: { write: () => true } });

function pod(name: string, more: Partial<LocalPod> = {}): LocalPod {
  return {
    uid: `u/${name}`,
    podUid: name,
    name,
    namespace: 'shop',
    serviceAccount: 'default',
    addresses: ['10.0.0.1'],
    enrolled: true,
    exemption: '',
    options: {
      excludeInboundPorts: [],
      excludeOutboundPorts: [],
      excludeOutboundCidrs: [],
      dnsCapture: false,
      failClosed: true,
      cutExisting: false,
    },
    ...more,
  };
}

function setUp(more: Partial<PodSteps> = {}) {
  const seen: string[] = [];
  const steps: PodSteps = {
    join: async ({ name }) => void seen.push(`join ${name}`),
    change: async ({ name, addresses }) => void seen.push(`change ${name} ${addresses.join()}`),
    leave: async ({ name }, gone) => void seen.push(`leave ${name}${gone ? ' gone' : ''}`),
    clean: async ({ name }) => void seen.push(`clean ${name}`),
    ...more,
  };
  return { seen, set: new PodSet(steps, log) };
}

test('PodSet joins, changes and releases pods as they are wanted', async (t) => {
  const { seen, set } = setUp();
  set.apply([pod('a'), pod('b', { enrolled: false, exemption: 'opted out' })]);
  await set.settled();
  set.apply([pod('a', { addresses: ['10.0.0.2'] }), pod('b')]);
  await set.settled();
  set.apply([pod('a', { enrolled: false })]);
  await set.settled();
  t.strictSame(
    seen.toSorted(),
    ['change a 10.0.0.2', 'clean b', 'join a', 'join b', 'leave a', 'leave b gone'].toSorted(),
  );
  t.match(set.states(), [{ name: 'a', enrolled: false, joined: false }]);
});

test('PodSet.moved() has a pod join anew, also while it is joining', async (t) => {
  const seen: string[] = [];
  const { set } = setUp({
    join: async ({ name }) => {
      seen.push(`join ${name}`);
      if (seen.length === 1) set.moved(name);
    },
  });
  set.moved('a');
  set.apply([pod('a')]);
  await set.settled();
  t.strictSame(seen, ['join a', 'join a']);
  set.moved('a');
  await set.settled();
  t.equal(seen.length, 3);
  set.apply([pod('a', { enrolled: false })]);
  await set.settled();
  set.moved('a');
  await set.settled();
  t.equal(seen.length, 3, 'one that is not captured has nothing to do anew');
});

test('PodSet does nothing for what is the same again', async (t) => {
  const { seen, set } = setUp();
  set.apply([pod('a')]);
  await set.settled();
  set.apply([pod('a')]);
  await set.settled();
  t.strictSame(seen, ['join a']);
});

test('PodSet tries again what failed, and says what with meanwhile', async (t) => {
  let tries = 0;
  const { set } = setUp({
    join: async () => {
      tries += 1;
      if (tries < 3) throw new Error('no namespace yet');
    },
  });
  set.apply([pod('a')]);
  await new Promise((resolve) => setImmediate(resolve));
  t.match(set.states(), [{ joined: false, problem: 'no namespace yet' }]);
  await set.settled();
  t.equal(tries, 3);
  t.match(set.states(), [{ joined: true, problem: '' }]);
});

test('PodSet gives up a join that is no longer wanted, and lets nothing overlap', async (t) => {
  const { seen, set } = setUp({
    join: async (_pod, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new Error('aborted')));
      }),
  });
  set.apply([pod('a')]);
  set.apply([]);
  await set.settled();
  t.strictSame(seen, ['leave a gone'], 'what the join had begun is undone');
  t.strictSame(set.states(), []);
});

test('PodSet does not hold on to a pod that is gone and cannot be released', async (t) => {
  const { set } = setUp({ leave: async () => Promise.reject(new Error('its namespace is gone')) });
  set.apply([pod('a')]);
  await set.settled();
  set.apply([]);
  await set.settled();
  t.strictSame(set.states(), []);
});

test('PodSet looks once whether a pod that is not enrolled was left captured', async (t) => {
  const { seen, set } = setUp();
  const out = { enrolled: false, exemption: 'opted out' };
  set.apply([pod('a', out), pod('b', out)]);
  await set.settled();
  set.apply([pod('a', { ...out, addresses: ['10.0.0.2'] })]);
  await set.settled();
  t.strictSame(seen, ['clean a', 'clean b']);
  const failing = setUp({ clean: async () => Promise.reject(new Error('no such namespace')) });
  failing.set.apply([pod('a', out)]);
  await failing.set.settled();
  failing.set.apply([pod('a')]);
  await failing.set.settled();
  t.strictSame(failing.seen, ['join a'], 'and is not held up by what it finds');
});
