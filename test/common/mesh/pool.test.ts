/** Alike is what is spelt alike, not what has the same hash. */
import { test } from 'tap';
import { Pool } from '#common/mesh/pool.ts';
import type { Pooled } from '#common/mesh/pool.ts';

interface Fields {
  readonly text: string;
}

const COUNT = 120_000;

test('a Pool tells values apart that have the same hash, and forgets the right one', async (t) => {
  const pool = new Pool<Fields & Pooled, Fields>(({ text }) => text);
  const intern = (text: string): Fields & Pooled =>
    pool.intern({ text }, (id, hash) => ({ text, id, hash, count: 1 }));
  const all = Array.from({ length: COUNT }, (_, i) => intern(`value ${i}`));
  const byHash = new Map(all.map((value) => [value.hash, value]));
  t.ok(byHash.size < COUNT, 'with so many values some hashes are the same');
  const twin = all.find((value) => byHash.get(value.hash) !== value);
  const other = byHash.get(twin?.hash ?? 0);
  if (twin === undefined || other === undefined) throw new TypeError();
  t.not(twin.text, other.text);
  for (const value of [twin, other]) {
    t.equal(intern(value.text), value);
    t.equal(pool.at(value.id), value);
  }
  pool.release(twin);
  pool.sweep();
  t.throws(() => pool.at(twin.id));
  t.equal(intern(other.text), other);
  t.not(intern(twin.text), twin);
});
