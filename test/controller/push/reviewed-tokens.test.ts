import { test } from 'tap';
import type { Subject } from '../../../controller/kube/reviews.ts';
import { accountOf } from '../../../controller/push/agent-token.ts';
import { ReviewedTokens } from '../../../controller/push/reviewed-tokens.ts';
import { silent } from '../../helpers/silent-log.ts';

const account = accountOf('plumbline-system', 'plumbline-node-agent');

function subject(node: string): Subject {
  const bound = { 'node-name': [node], 'pod-name': ['agent'], 'pod-uid': [`uid-${node}`] };
  const extra = Object.entries(bound).map(([k, v]) => [`authentication.kubernetes.io/${k}`, v]);
  return { username: account, uid: '1', groups: [], extra: Object.fromEntries(extra) };
}

const agent = (node: string) => ({ node, podUid: `uid-${node}` });

/** Tokens `h.NODE.s` are those of agents; the clock is turned by hand. */
function setUp() {
  let nowMs = 0;
  const asked: string[] = [];
  const server = { isAway: false };
  const tokens = new ReviewedTokens({
    account,
    log: silent,
    now: () => nowMs,
    reviewer: {
      whoIs: async (token, audience) => {
        asked.push(`${token} ${audience}`);
        if (server.isAway) throw new Error('away');
        const [, node = ''] = token.split('.');
        return node === 'nobody' ? undefined : subject(node);
      },
    },
  });
  const pass = (ms: number): void => void (nowMs += ms);
  const { authenticate } = tokens;
  return { tokens, authenticate, asked, server, pass };
}

test('ReviewedTokens asks once for a token, and again when a minute is over', async (t) => {
  const { authenticate, asked, pass } = setUp();
  const both = await Promise.all([authenticate('h.n1.s'), authenticate('h.n1.s')]);
  t.strictSame(both, [agent('n1'), agent('n1')]);
  t.strictSame(await authenticate('h.n2.s'), agent('n2'));
  pass(59_000);
  await authenticate('h.n1.s');
  t.strictSame(asked, ['h.n1.s plumbline', 'h.n2.s plumbline']);
  pass(1000);
  t.strictSame(await authenticate('h.n1.s'), agent('n1'));
  t.equal(asked.length, 3);
});

test('ReviewedTokens holds to what it knows while the API server is away, and to no more', async (t) => {
  const { authenticate, server, pass } = setUp();
  await authenticate('h.n1.s');
  server.isAway = true;
  t.strictSame(await authenticate('h.n1.s'), agent('n1'));
  await t.rejects(authenticate('h.n2.s'), { code: 'NOT_AUTHENTICATED' });
  pass(60_000);
  await t.rejects(authenticate('h.n1.s'), { code: 'NOT_AUTHENTICATED' });
  server.isAway = false;
  t.strictSame(await authenticate('h.n1.s'), agent('n1'), 'a failure is not remembered');
});

test('ReviewedTokens refuses what is nobody’s, for some seconds without asking', async (t) => {
  const { authenticate, asked, pass } = setUp();
  t.equal(await authenticate('h.nobody.s'), undefined);
  t.equal(await authenticate('h.nobody.s'), undefined);
  t.equal(asked.length, 1);
  pass(5000);
  t.equal(await authenticate('h.nobody.s'), undefined);
  t.equal(asked.length, 2);
  for (const junk of ['', 'x', 'a.b', 'a.b.c.d', 'a b.c.d']) {
    t.equal(await authenticate(junk), undefined);
  }
  t.equal(asked.length, 2, 'what is no such token is not asked about');
});

test('ReviewedTokens refuses the token of a pod that is gone, whatever the API server says', async (t) => {
  const { tokens, authenticate, asked, pass } = setUp();
  await authenticate('h.n1.s');
  await authenticate('h.n2.s');
  tokens.forgetPod('uid-n1');
  t.equal(await authenticate('h.n1.s'), undefined);
  t.strictSame(await authenticate('h.n2.s'), agent('n2'));
  t.strictSame(asked.slice(2), ['h.n1.s plumbline'], 'the other is remembered');
  pass(60_000);
  t.strictSame(await authenticate('h.n1.s'), agent('n1'), 'by then the API server knows');
});
