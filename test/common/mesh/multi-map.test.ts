/** Several values of a key are told apart and go one by one. */
import { test } from 'tap';
import { MultiMap } from '#common/mesh/multi-map.ts';

test('a MultiMap holds none, one or several values of a key', async (t) => {
  const map = new MultiMap<string, object>();
  const [a, b, c] = [{}, {}, {}];
  const held = (): object[] => Array.from(map.get('k'));
  t.strictSame(held(), []);
  map.add('k', a);
  map.add('k', a);
  t.strictSame(held(), [a]);
  t.equal(held()[0], a);
  map.add('k', b);
  map.add('k', c);
  map.add('k', b);
  t.equal(held().length, 3);
  map.remove('k', a);
  t.equal(held()[0], b);
  t.equal(held()[1], c);
  map.remove('k', a);
  t.equal(held().length, 2, 'what is not there cannot go');
  map.remove('k', b);
  t.equal(held()[0], c);
  map.remove('k', b);
  t.equal(held()[0], c);
  map.remove('k', c);
  t.strictSame([held(), map.size], [[], 0]);
});
