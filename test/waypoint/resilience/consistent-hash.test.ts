import { test } from 'tap';
import { buildMaglev, buildRing } from '../../../waypoint/resilience/consistent-hash.ts';
import { EndpointSet } from '../../../waypoint/resilience/endpoint-set.ts';
import { hashText } from '../../../waypoint/resilience/hash.ts';

const KEYS = Array.from({ length: 10_000 }, (_, i) => hashText(`key-${i}`));
const TABLES = { ring: buildRing, maglev: buildMaglev } as const;

function owners(
  build: (typeof TABLES)['ring'],
  ids: readonly string[],
  out: readonly string[] = [],
  weights: Readonly<Record<string, number>> = {},
): string[] {
  const set = new EndpointSet();
  set.update(
    ids.map((id) => ({ id, weight: weights[id] ?? 1, level: 0 })),
    0,
  );
  const table = build(set.levels[0]?.endpoints ?? []);
  return KEYS.map((key) => table.find(key, ({ id }) => out.includes(id))?.id ?? 'none');
}

const IDS = Array.from({ length: 20 }, (_, i) => `shop/cart-${i}`);

function counts(all: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const id of all) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
}

test('hashes spread keys evenly, Maglev more so than the ring', async (t) => {
  for (const [name, build] of Object.entries(TABLES)) {
    const all = [...counts(owners(build, IDS)).values()];
    const most = Math.max(...all) / (KEYS.length / IDS.length);
    t.equal(all.length, IDS.length);
    t.ok(most < (name === 'maglev' ? 1.15 : 1.35), `${name}: the fullest has ${most} of its share`);
  }
});

test('a hash does not depend on the order in which endpoints are named', async (t) => {
  for (const build of Object.values(TABLES)) {
    t.strictSame(owners(build, IDS), owners(build, IDS.toReversed()));
  }
});

test('an endpoint that goes moves its own keys and hardly any other', async (t) => {
  for (const [name, build] of Object.entries(TABLES)) {
    const before = owners(build, IDS);
    const after = owners(build, IDS.slice(1));
    const moved = before.filter((id, i) => id !== IDS[0] && id !== after[i]).length / KEYS.length;
    t.ok(moved <= (name === 'ring' ? 0 : 0.03), `${name}: ${moved} of the others’ keys moved`);
  }
});

test('an endpoint that is out moves its own keys alone, and gets them back', async (t) => {
  for (const [name, build] of Object.entries(TABLES)) {
    const before = owners(build, IDS);
    const during = owners(build, IDS, [IDS[0] ?? '']);
    t.ok(
      before.every((id, i) => id === IDS[0] || id === during[i]),
      name,
    );
    t.notOk(during.includes(IDS[0] ?? ''));
    const heirs = counts(during.filter((_, i) => before[i] === IDS[0]));
    t.ok(heirs.size > 5, `${name}: ${heirs.size} others share them`);
    t.strictSame(
      owners(build, IDS, IDS),
      KEYS.map(() => 'none'),
    );
  }
});

test('hashes keep to weights', async (t) => {
  for (const [name, build] of Object.entries(TABLES)) {
    const found = counts(owners(build, ['a', 'b', 'c'], [], { a: 1, b: 2, c: 5 }));
    t.ok(Math.abs((found.get('c') ?? 0) / KEYS.length - 0.625) < 0.06, `${name} ${found.get('c')}`);
    t.ok(Math.abs((found.get('a') ?? 0) / KEYS.length - 0.125) < 0.05, `${name} ${found.get('a')}`);
  }
});

test('hashText() spreads texts that hardly differ over all bits', async (t) => {
  const seen = new Set(Array.from({ length: 4096 }, (_, i) => hashText(`a${i}`) >>> 20));
  t.ok(seen.size > 2400, `${seen.size} of 4096 places are hit`);
  t.not(hashText('a', 1), hashText('a', 2));
  t.equal(hashText(''), hashText(''));
});
