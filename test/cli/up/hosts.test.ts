/** The hosts file of a pod, and what a name means in it. */
import { test } from 'tap';
import { renderHosts, resolveHost } from '../../../cli/up/hosts.ts';

const entries = [
  { namespace: '', names: ['web.shop', 'web.shop.svc'], addresses: ['10.32.0.1', 'fd00:32::1'] },
  { namespace: 'shop', names: ['web'], addresses: ['10.32.0.1', 'fd00:32::1'] },
  { namespace: 'office', names: ['web'], addresses: ['10.32.0.2'] },
];

test('renderHosts() shows short names of the pod’s own namespace only', async (t) => {
  const text = renderHosts(
    { namespace: 'shop', name: 'cart-0', addresses: ['10.65.0.10'] },
    entries,
  );
  t.match(text, /^10\.65\.0\.10 cart-0$/m);
  t.match(text, /^fd00:32::1 web\.shop web\.shop\.svc$/m);
  t.match(text, /^10\.32\.0\.1 web$/m);
  t.notMatch(text, /10\.32\.0\.2/);
  t.match(text, /^127\.0\.0\.1 localhost$/m);
});

test('resolveHost() finds what a pod of the namespace would find', async (t) => {
  t.strictSame(resolveHost('web', 'office', entries), ['10.32.0.2']);
  t.strictSame(resolveHost('web.shop', 'office', entries), ['10.32.0.1', 'fd00:32::1']);
  t.strictSame(resolveHost('cart', 'shop', entries), []);
});
