import { test } from 'tap';
import {
  compareRouting,
  parseRouting,
  renderRouting,
} from '../../../node-agent/capture/routing.ts';

const RULES = '32764:\tfrom all fwmark 0x411/0xfff lookup 100 \n';
const ROUTES_4 = `local default dev lo table 100 scope host 
local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1
local default dev lo table 1000 scope host
`;
const ROUTES_6 = 'local default dev lo table 100 metric 1024 pref medium\n';

test('parseRouting() counts our rule and our route', async (t) => {
  t.strictSame(parseRouting(RULES, ROUTES_4), { rules: 1, routes: 1 });
  t.strictSame(parseRouting(RULES + RULES, ROUTES_6), { rules: 2, routes: 1 });
  t.strictSame(parseRouting(RULES.replace('0x411', '0x111'), ''), { rules: 0, routes: 0 });
});

test('compareRouting() wants exactly one of each', async (t) => {
  t.strictSame(compareRouting(4, { rules: 1, routes: 1 }), []);
  t.equal(compareRouting(4, { rules: 0, routes: 1 }).length, 1);
  t.equal(compareRouting(6, { rules: 2, routes: 0 }).length, 2);
});

test('renderRouting() writes only what is missing or too much', async (t) => {
  t.equal(renderRouting(4, { rules: 1, routes: 1 }, 1), '');
  t.equal(renderRouting(4, { rules: 0, routes: 0 }, 0), '');
  t.equal(
    renderRouting(6, { rules: 0, routes: 0 }, 1),
    'route add local ::/0 dev lo table 100\nrule add fwmark 0x411/0xfff priority 32764 lookup 100\n',
  );
  t.equal(
    renderRouting(4, { rules: 3, routes: 1 }, 1),
    'rule del fwmark 0x411/0xfff priority 32764 lookup 100\n'.repeat(2),
  );
  t.match(
    renderRouting(4, { rules: 1, routes: 1 }, 0),
    /^route del local 0\.0\.0\.0\/0 .*\nrule del /,
  );
});
