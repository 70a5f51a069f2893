import { test } from 'tap';
import type { LabelRequirement, Labels } from '../../../controller/model/objects.ts';
import { SelectorIndex, selectorOf, selects } from '../../../controller/model/selector.ts';

test('selects() follows the rules of Kubernetes for each operator', async (t) => {
  const table: readonly (readonly [LabelRequirement['operator'], string[], Labels, boolean])[] = [
    ['In', ['a', 'b'], { app: 'b' }, true],
    ['In', ['a', 'b'], { app: 'c' }, false],
    ['In', ['a'], {}, false],
    ['NotIn', ['a'], { app: 'b' }, true],
    ['NotIn', ['a'], { app: 'a' }, false],
    ['NotIn', ['a'], {}, true],
    ['Exists', [], { app: '' }, true],
    ['Exists', [], { other: '' }, false],
    ['DoesNotExist', [], { app: '' }, false],
    ['DoesNotExist', [], {}, true],
  ];
  for (const [operator, values, labels, wanted] of table) {
    const selector = { matchLabels: {}, matchExpressions: [{ key: 'app', operator, values }] };
    t.equal(
      selects(selector, labels),
      wanted,
      `${operator} ${values.join()} ${JSON.stringify(labels)}`,
    );
  }
});

test('selects() demands every label and takes everything when nothing is demanded', async (t) => {
  t.equal(selects(selectorOf({ a: '1', b: '2' }), { a: '1', b: '2', c: '3' }), true);
  t.equal(selects(selectorOf({ a: '1', b: '2' }), { a: '1' }), false);
  t.equal(selects(selectorOf({}), {}), true);
});

test('matching() finds by pair, by expression, by namespace and everywhere', async (t) => {
  const index = new SelectorIndex();
  index.set('pair', 'shop', selectorOf({ app: 'cart', tier: 'back' }));
  index.set('all of shop', 'shop', selectorOf({}));
  index.set('mesh', '', selectorOf({ app: 'cart' }));
  index.set('other', 'bank', selectorOf({ app: 'cart' }));
  index.set('one of', 'shop', {
    matchLabels: {},
    matchExpressions: [{ key: 'app', operator: 'In', values: ['cart'] }],
  });
  const cart = { app: 'cart', tier: 'back' };
  t.strictSame(index.matching('shop', cart).toSorted(), ['all of shop', 'mesh', 'one of', 'pair']);
  t.strictSame(index.matching('shop', { app: 'pay' }), ['all of shop']);
  t.strictSame(index.matching('bank', cart).toSorted(), ['mesh', 'other']);

  index.set('pair', 'bank', selectorOf({ app: 'pay' }));
  index.delete('mesh');
  t.strictSame(index.matching('shop', cart).toSorted(), ['all of shop', 'one of']);
  t.strictSame(index.matching('bank', { app: 'pay' }), ['pair']);
});
