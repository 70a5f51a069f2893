import { test } from 'tap';
import { accountOf, agentOf } from '../../../controller/push/agent-token.ts';

const account = accountOf('plumbline-system', 'plumbline-node-agent');
const claim = (name: string): string => `authentication.kubernetes.io/${name}`;
const extra = {
  [claim('node-name')]: ['n1'],
  [claim('pod-name')]: ['plumbline-node-agent-x'],
  [claim('pod-uid')]: ['6d1a5e3c'],
};

test('agentOf() takes the node to which the token of an agent’s pod is bound', async (t) => {
  t.strictSame(agentOf({ username: account, extra }, account), {
    node: 'n1',
    podUid: '6d1a5e3c',
  });
});

test('agentOf() refuses every other token, and says why', async (t) => {
  const without = (name: string) => ({ ...extra, [claim(name)]: [] });
  const rows: [string, { username?: string; extra?: Record<string, string[]> }, RegExp][] = [
    ['another account', { username: accountOf('shop', 'web') }, /it is of "system:.*:shop:web"/],
    ['the same name elsewhere', { username: accountOf('shop', 'plumbline-node-agent') }, /not of/],
    ['a person', { username: 'admin' }, /it is of "admin"/],
    ['no pod name', { extra: without('pod-name') }, /not bound to a pod/],
    ['no pod uid', { extra: without('pod-uid') }, /not bound to a pod/],
    ['no node', { extra: without('node-name') }, /not bound to a node/],
    ['two nodes', { extra: { ...extra, [claim('node-name')]: ['n1', 'n2'] } }, /to a node/],
    ['an odd node', { extra: { ...extra, [claim('node-name')]: ['../n1'] } }, /to a node/],
    ['nothing bound', { extra: {} }, /not bound to a pod/],
  ];
  for (const [what, over, reason] of rows) {
    t.match(agentOf({ username: account, extra, ...over }, account), reason, what);
  }
});
