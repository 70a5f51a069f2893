/** Decisions of a pod: kept while the world stands still, and not a moment longer. */
import { test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { packUpdate } from '#common/mesh/pack.ts';
import { Decisions } from '../../../node-agent/data/decisions.ts';
import * as limits from '../../../node-agent/data/limits.ts';
import { delta, policy, ruleOf, viewOf, workload } from '../../helpers/mesh-build.ts';

const cart = workload('cart', { addresses: ['10.64.0.1'] });
const web = workload('web', { addresses: ['10.64.0.9'] });

function setUp() {
  const view = viewOf({ workloads: [cart, web] });
  const decisions = new Decisions(view, () => cart.uid);
  return { view, decisions };
}

const from = {
  identity: identityOf('cluster.local', 'shop', 'web'),
  sourceAddress: '10.64.0.9',
  destinationAddress: '10.64.0.1',
  destinationPort: 8080,
};

test('Decisions give the same answer until something has changed', async (t) => {
  const { view, decisions } = setUp();
  const subject = decisions.workload() ?? cart;
  t.equal(decisions.workload(), subject);
  const verdict = decisions.verdict(subject, from);
  t.equal(verdict.allow, true);
  t.equal(decisions.verdict(subject, from), verdict);
  view.apply(
    packUpdate(delta({ policies: [policy('nobody', ruleOf({ namespaces: ['other'] }))] }, 2)),
  );
  decisions.forget();
  t.match(decisions.verdict(decisions.workload() ?? cart, from), {
    allow: false,
    policy: 'authorization/shop/nobody',
  });
});

test('a verdict is for one identity, one pair of addresses and one port', async (t) => {
  const { view, decisions } = setUp();
  view.apply(
    packUpdate(
      delta(
        {
          policies: [
            policy('some', ruleOf({ principals: ['cluster.local/ns/shop/sa/web'] })),
            policy('port', {
              action: 'deny',
              ...ruleOf({ destinationPorts: [{ from: 1, to: 9 }] }),
            }),
            policy('to', { action: 'deny', ...ruleOf({ destinationIps: ['10.64.0.2'] }) }),
            policy('source', { action: 'deny', ...ruleOf({ sourceIps: ['10.64.0.8'] }) }),
          ],
        },
        2,
      ),
    ),
  );
  const subject = decisions.workload() ?? cart;
  const allowed = (over: Partial<typeof from> | { identity: undefined }): boolean =>
    decisions.verdict(subject, { ...from, ...over }).allow;
  for (let turn = 0; turn < 2; turn += 1) {
    t.equal(allowed({}), true);
    t.equal(allowed({ identity: undefined }), false);
    t.equal(allowed({ identity: identityOf('cluster.local', 'shop', 'x') }), false);
    t.equal(allowed({ destinationPort: 9 }), false);
    t.equal(allowed({ destinationAddress: '10.64.0.2' }), false);
    t.equal(allowed({ sourceAddress: '10.64.0.8' }), false);
  }
});

test('a record that is not the current one is judged by itself', async (t) => {
  const { view, decisions } = setUp();
  view.apply(
    packUpdate(delta({ policies: [policy('shut', { scope: 'selector', rules: [] })] }, 2)),
  );
  const subject = decisions.workload() ?? cart;
  t.equal(decisions.verdict(subject, from).allow, true);
  const selected = workload('cart', { policies: ['authorization/shop/shut'] });
  t.equal(decisions.verdict(selected, from).allow, false);
  t.equal(decisions.verdict(subject, from).allow, true);
});

test('routes and targets follow the world, and are told apart by what was asked', async (t) => {
  const { view, decisions } = setUp();
  t.equal(decisions.route({ address: '10.64.0.9', port: 80 }).kind, 'endpoints');
  t.equal(decisions.route({ address: '10.64.0.7', port: 80 }).kind, 'direct');
  t.equal(decisions.target('10.64.0.1:80', '10.64.0.1').kind, 'accept');
  t.equal(decisions.target('10.64.0.1:80', '10.64.0.2').kind, 'refuse');
  t.equal(decisions.workloadAt('10.64.0.9')?.name, 'web');
  view.apply(packUpdate(delta({ removed: { workloads: [cart.uid, web.uid] } }, 2)));
  decisions.forget();
  t.equal(decisions.workload(), undefined);
  t.equal(decisions.workloadAt('10.64.0.9'), undefined);
  t.match(decisions.route({ address: '10.64.0.9', port: 80 }), { code: 'UNKNOWN_SOURCE' });
  t.match(decisions.target('10.64.0.1:80', '10.64.0.1'), { code: 'UNKNOWN_SOURCE' });
});

test('Decisions keep a bounded number of answers', async (t) => {
  const { decisions } = setUp();
  const first = decisions.route({ address: '10.64.0.9', port: 1 });
  for (let port = 2; port <= limits.MOST_DECISIONS; port += 1) {
    decisions.route({ address: '10.64.0.9', port });
  }
  t.equal(decisions.route({ address: '10.64.0.9', port: 1 }), first);
  decisions.route({ address: '10.64.0.9', port: limits.MOST_DECISIONS + 1 });
  t.not(decisions.route({ address: '10.64.0.9', port: 1 }), first);
});
