import { test } from 'tap';
import { RouteTable, serviceFrontendKey } from '../../../waypoint/routing/route-table.ts';
import { frontend, request, route } from '../../helpers/routes.ts';

test('RouteTable.router() compiles a frontend once, and anew when it has changed', async (t) => {
  const table = new RouteTable();
  const key = serviceFrontendKey('shop/cart', 80);
  const other = frontend([route('other', [{}])], { key: 'shop/other:80' });
  table.apply([frontend([route('a', [{}])], { key }), other], []);
  const first = table.router(key);
  t.equal(first?.find(request('/'), '')?.rule.route.key, 'HTTPRoute/shop/a');
  t.equal(table.router(key), first);
  const kept = table.router('shop/other:80');
  table.apply([frontend([route('b', [{}])], { key })], []);
  t.equal(table.router(key)?.find(request('/'), '')?.rule.route.key, 'HTTPRoute/shop/b');
  t.equal(table.router('shop/other:80'), kept);
  table.apply([], [key]);
  t.equal(table.router(key), undefined);
  t.equal(table.size, 1);
});
