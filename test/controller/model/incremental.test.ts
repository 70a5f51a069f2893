import { test } from 'tap';
import type { ModelDiff, ObjectChange } from '../../../controller/model/diff.ts';
import { isEmptyDiff } from '../../../controller/model/diff.ts';
import { Model } from '../../../controller/model/model.ts';
import type { MeshObject } from '../../../controller/model/objects.ts';
import { keyOf } from '../../../controller/model/objects.ts';
import {
  MESHED,
  authorization,
  endpoint,
  gone,
  meta,
  namespace,
  networkPolicy,
  node,
  peerAuthentication,
  pod,
  service,
  serviceEntry,
  set,
  slice,
} from '../../helpers/mesh-objects.ts';

/** A shop of `size` services with ten pods each. */
function shop(size: number): MeshObject[] {
  const objects: MeshObject[] = [namespace('shop', MESHED), node('n1', 'a')];
  for (let s = 0; s < size; s += 1) {
    const app = `app-${s}`;
    const endpoints: string[] = [];
    for (let p = 0; p < 10; p += 1) {
      const address = `10.${s >> 8}.${s & 0xff}.${p + 1}`;
      endpoints.push(`${app}-${p}=${address}`);
      objects.push(pod(`${app}-${p}`, address, { meta: { labels: { app } } }));
    }
    objects.push(service(app, { clusterIps: [`10.32.${s >> 8}.${s & 0xff}`] }));
    objects.push(slice(app, endpoints));
    objects.push(authorization(`allow-${s}`, { selector: { app }, rules: [{ ...ANYBODY }] }));
  }
  return objects;
}

const ANYBODY = { from: undefined, to: undefined, when: undefined };

test('apply() rebuilds one workload when one endpoint of a thousand changes', async (t) => {
  const model = new Model();
  t.equal(model.apply(set(...shop(100))).workloads.length, 1000);
  const labels = { app: 'app-7' };

  const unready = model.apply(set(pod('app-7-3', '10.0.7.4', { ready: false, meta: { labels } })));
  t.strictSame(unready.rebuilt, { workloads: 1, services: 0, policies: 0 });
  t.match(unready.workloads, [{ name: 'app-7-3', health: 'not-ready' }]);

  const endpoints = Array.from({ length: 9 }, (_, p) => `app-7-${p}=10.0.7.${p + 1}`);
  const left = model.apply(set(slice('app-7', endpoints)));
  t.strictSame(left.rebuilt, { workloads: 1, services: 0, policies: 0 });
  t.match(left.workloads, [{ name: 'app-7-9', memberships: [] }]);
});

test('apply() rebuilds the members of one service when its ports change', async (t) => {
  const model = new Model();
  model.apply(set(...shop(100)));
  const ports = [{ name: 'http', port: 81, targetPort: 8080, appProtocol: '' }];
  const diff = model.apply(set(service('app-7', { clusterIps: ['10.32.0.7'], ports })));
  t.equal(diff.rebuilt.services, 1);
  // The ten pods, and the slice itself, which might hold endpoints without a pod.
  t.equal(diff.rebuilt.workloads, 11);
  t.equal(diff.workloads.length, 10);
});

test('apply() rebuilds no workload when only the rules of a policy change', async (t) => {
  const model = new Model();
  model.apply(set(...shop(100)));
  const diff = model.apply(set(authorization('allow-7', { selector: { app: 'app-7' } })));
  t.strictSame(diff.rebuilt, { workloads: 0, services: 0, policies: 1 });
  t.match(diff.policies, [{ key: 'authorization/shop/allow-7', rules: [] }]);
});

test('apply() answers a resync of everything with nothing', async (t) => {
  const model = new Model();
  model.apply(set(...shop(20)));
  const diff = model.apply(set(...shop(20)));
  t.ok(isEmptyDiff(diff));
  t.strictSame(diff.rebuilt, { workloads: 0, services: 0, policies: 0 });
});

test('apply() does not depend on the order of changes in one call', async (t) => {
  const objects = shop(5);
  const forwards = new Model();
  const backwards = new Model();
  forwards.apply(set(...objects));
  backwards.apply(set(...objects.toReversed()));
  t.strictSame(sorted(backwards.snapshot()), sorted(forwards.snapshot()));
});

/** Numbers that are the same every time, from a linear congruential generator. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

const ROOT = 'plumbline-system';
const APPS = ['a', 'b', 'c'];
const SPACES = ['shop', 'bank', ROOT];

/** Some object of some kind, out of few enough names that changes hit each other often. */
function anyObject(roll: (sides: number) => number): MeshObject {
  const app = APPS[roll(3)] ?? 'a';
  const space = SPACES[roll(3)] ?? 'shop';
  const n = roll(3);
  const labels = { app, tier: roll(2) === 0 ? 'front' : 'back' };
  const at = { namespace: space, createdMs: roll(3) };
  const selector = [undefined, { app }, { tier: 'front' }][roll(3)];
  const inSpace = (object: MeshObject): MeshObject => ({
    ...object,
    meta: { ...object.meta, ...at },
  });
  switch (roll(12)) {
    case 0:
      return namespace(
        space,
        roll(2) === 0 ? MESHED : {},
        roll(2) === 0 ? { 'networking.istio.io/traffic-distribution': 'PreferClose' } : {},
      );
    case 1:
      return node(`n${n}`, `z${roll(2)}`);
    case 2:
      return inSpace(slice(app, [`${app}-${n}=10.0.0.${n}`, `=10.9.0.${n}`]));
    case 3:
      return service(app, {
        ports: [{ name: 'http', port: 80 + roll(2), targetPort: 8080, appProtocol: '' }],
        meta: at,
      });
    case 4:
      return authorization(`p${n}`, { ...(selector && { selector }), rules: [ANYBODY], meta: at });
    case 5:
      return peerAuthentication(
        `p${n}`,
        (['UNSET', 'STRICT', 'PERMISSIVE'] as const)[roll(3)] ?? 'UNSET',
        {
          ...(selector && { selector }),
          portModes: roll(2) === 0 ? { 8080: 'STRICT' } : {},
          meta: at,
        },
      );
    case 6: {
      const all = { matchLabels: {}, matchExpressions: [] };
      const some = { matchLabels: { tier: 'front' }, matchExpressions: [] };
      const peers = [
        { kind: 'pods', namespaces: all, pods: undefined },
        { kind: 'pods', namespaces: undefined, pods: some },
        { kind: 'pods', namespaces: all, pods: some },
      ] as const;
      const from = [peers[roll(3)] ?? peers[0]];
      const ports = roll(2) === 0 ? undefined : [{ port: 'web', endPort: 0 }];
      return inSpace(networkPolicy(`n${n}`, selector ?? {}, [{ from, ports }]));
    }
    case 7:
      return serviceEntry(`e${n}`, {
        hosts: [roll(2) === 0 ? 'one.example' : `a.${space}.svc.cluster.local`],
        ...(roll(2) === 0
          ? { workloadSelector: { app } }
          : { endpoints: [endpoint(`10.8.0.${n}`)] }),
        meta: at,
      });
    case 8:
      return {
        kind: 'WorkloadEntry',
        meta: meta(`w${n}`, at),
        endpoint: endpoint(`10.7.0.${n}`, { labels }),
      };
    case 9:
      return { kind: 'CaptureReport', meta: meta(`${app}-${n}`, at), podUid: `uid-${app}-${n}` };
    default:
      return pod(`${app}-${n}`, roll(5) === 0 ? '' : `10.${roll(2)}.0.${n}`, {
        node: `n${roll(3)}`,
        ready: roll(2) === 0,
        namedPorts: roll(2) === 0 ? { web: 8000 + roll(2) } : {},
        meta: { ...at, labels },
      });
  }
}

function sorted(diff: ModelDiff): unknown {
  const by = <T>(list: readonly T[], key: (item: T) => string): T[] =>
    list.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  return {
    workloads: by(diff.workloads, (w) => w.uid),
    services: by(diff.services, (s) => s.key),
    policies: by(diff.policies, (p) => p.key),
    pods: by(diff.pods, (p) => p.pod.uid),
  };
}

/** What a receiver of every diff holds. */
class Receiver {
  readonly #held = new Map<string, unknown>();

  apply(diff: ModelDiff): void {
    for (const one of diff.workloads) this.#held.set(`w ${one.uid}`, one);
    for (const one of diff.services) this.#held.set(`s ${one.key}`, one);
    for (const one of diff.policies) this.#held.set(`p ${one.key}`, one);
    for (const one of diff.pods) this.#held.set(`l ${one.pod.uid}`, one);
    for (const key of diff.removed.workloads) this.#held.delete(`w ${key}`);
    for (const key of diff.removed.services) this.#held.delete(`s ${key}`);
    for (const key of diff.removed.policies) this.#held.delete(`p ${key}`);
    for (const key of diff.removed.pods) this.#held.delete(`l ${key}`);
  }

  contents(): unknown {
    return Object.fromEntries([...this.#held].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}

test('apply() always ends where a fresh model of the same objects begins', async (t) => {
  const ROUNDS = 60;
  const STEPS = 60;
  let compared = 0;
  for (let seed = 1; seed <= ROUNDS; seed += 1) {
    const roll = dice(seed);
    const model = new Model({ tunnelWhen: 'captured' });
    const receiver = new Receiver();
    const objects = new Map<string, MeshObject>();
    for (let step = 0; step < STEPS; step += 1) {
      const changes: ObjectChange[] = [];
      for (let n = roll(3); n >= 0; n -= 1) {
        const object = anyObject(roll);
        const key = `${object.kind} ${keyOf(object.meta)}`;
        const isGone = roll(4) === 0;
        if (isGone) objects.delete(key);
        else objects.set(key, object);
        changes.push(...(isGone ? [gone(object)] : set(object)));
      }
      receiver.apply(model.apply(changes));
      for (const [key, { kind, meta: of }] of objects) {
        // The model forgets what was said of a pod that is not there.
        if (kind === 'CaptureReport' && !objects.has(`Pod ${keyOf(of)}`)) objects.delete(key);
      }
    }
    const fresh = new Model({ tunnelWhen: 'captured' });
    const whole = new Receiver();
    whole.apply(fresh.apply(set(...objects.values())));
    const isSame = t.strictSame(receiver.contents(), whole.contents(), `seed ${seed}`);
    t.strictSame(sorted(model.snapshot()), sorted(fresh.snapshot()), `snapshot of seed ${seed}`);
    compared += 1;
    if (!isSame) break;
  }
  t.equal(compared, ROUNDS);
});
