import { test } from 'tap';
import type { FoundConfigMap } from '../../../controller/kube/config-maps.ts';
import { planBundles, TRUST_KEY } from '../../../controller/status/trust-bundle.ts';

const has = (pem: string, isOurs = true) => ({ data: { [TRUST_KEY]: pem }, isOurs });

test('planBundles() applies what is missing or altered, and removes what is ours and not needed', async (t) => {
  const wanted = new Set(['missing', 'right', 'altered', 'old', 'foreign']);
  const found = new Map<string, FoundConfigMap>([
    ['right', has('new')],
    ['altered', { data: {}, isOurs: true }],
    ['old', has('old')],
    ['foreign', has('new', false)],
    ['left', has('new')],
    ['theirs', has('new', false)],
  ]);
  t.strictSame(planBundles(wanted, 'new', found), {
    apply: ['missing', 'altered', 'old', 'foreign'],
    remove: ['left'],
  });
});
