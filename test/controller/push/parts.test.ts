import { chmodSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { Assembly } from '#common/control/assembly.ts';
import { decodeControllerMessage } from '#common/control/schema.ts';
import type { UpdatePart } from '#common/control/messages.ts';
import { MeshState } from '../../../controller/push/mesh-state.ts';
import { partsOf } from '../../../controller/push/parts.ts';
import { Rate } from '../../../controller/push/rate.ts';
import { TokenFile } from '../../../controller/push/tokens.ts';
import { diff, podOn } from '../../helpers/control-rig.ts';
import { policy, service, workload } from '../../helpers/mesh-build.ts';
import { silent } from '../../helpers/silent-log.ts';

function partsFor(state: MeshState, node: string): UpdatePart[] {
  return Array.from(partsOf(state.snapshot(node), node), (pieces) => {
    const message = decodeControllerMessage(pieces.map(String).join(''));
    if (message.type !== 'update') throw new Error('not an update');
    return message;
  });
}

test('partsOf() cuts a snapshot into messages of bounded size', async (t) => {
  const state = new MeshState({ trustDomain: 'cluster.local' });
  state.apply(diff({ workloads: Array.from({ length: 5000 }, (_, i) => workload(`w${i}`)) }));
  const messages = [...partsOf(state.snapshot('a'), 'a')];
  t.ok(messages.length > 3);
  for (const pieces of messages) t.ok(pieces.map(String).join('').length < 600 * 1024);
  const parts = partsFor(state, 'a');
  t.strictSame(
    parts.map(({ part }) => part),
    parts.map((_, i) => i),
  );
  t.strictSame(
    parts.map(({ last }) => last),
    parts.map((_, i) => i === parts.length - 1),
  );
});

test('partsOf() says something even when there is nothing to say', async (t) => {
  const state = new MeshState({ trustDomain: 'cluster.local' });
  state.apply(diff({}));
  t.match(partsFor(state, 'a'), [{ version: 1, snapshot: true, part: 0, last: true }]);
});

test('Assembly lets the own form of a workload win over that for everybody', async (t) => {
  const state = new MeshState({ trustDomain: 'cluster.local' });
  const key = policy('p', { scope: 'selector' }).key;
  const own = podOn('a', 'cart', { policies: [key] });
  const others = Array.from({ length: 3000 }, (_, i) => workload(`w${i}`));
  state.apply(diff({ workloads: [...own.workloads, ...others], pods: own.pods }));
  const assembly = new Assembly();
  const whole = partsFor(state, 'a')
    .map((part) => assembly.add(part))
    .at(-1);
  t.equal(whole?.workloads.length, 3001);
  t.match(whole?.workloads.find(({ name }) => name === 'cart')?.policies, [key]);
});

test('Assembly refuses parts that do not belong together', async (t) => {
  const state = new MeshState({ trustDomain: 'cluster.local' });
  state.apply(diff({ services: [service('one')] }));
  const [part] = partsFor(state, 'a');
  if (part === undefined) throw new Error('no part');
  const first = { ...part, last: false };
  const after = (next: Partial<UpdatePart>) => () => {
    const assembly = new Assembly();
    assembly.add(first);
    assembly.add({ ...first, part: 1, ...next });
  };
  t.doesNotThrow(after({}));
  t.throws(after({ part: 2 }), { code: 'MESSAGE_INVALID' });
  t.throws(after({ part: 0 }), { code: 'MESSAGE_INVALID' });
  t.throws(after({ version: 9 }), { code: 'MESSAGE_INVALID' });
  t.throws(after({ snapshot: false }), { code: 'MESSAGE_INVALID' });
  t.throws(() => new Assembly().add({ ...first, part: 1 }), { code: 'MESSAGE_INVALID' });
});

test('Rate lets a burst pass, then so many a second', async (t) => {
  const rate = new Rate({ burst: 3, perSecond: 2 }, 0);
  const taken = (nowMs: number): number => {
    let count = 0;
    while (rate.take(nowMs)) count += 1;
    return count;
  };
  t.equal(taken(0), 3);
  t.equal(taken(1000), 2);
  t.equal(taken(1100), 0);
  t.equal(taken(60_000), 3);
});

test('TokenFile knows the nodes of its tokens, and sees a file that has changed', async (t) => {
  const token = 't'.repeat(32);
  const directory = t.testdir({});
  const path = `${directory}/tokens`;
  writeFileSync(path, `# nodes\n\na ${token}\n`, { mode: 0o600 });
  const tokens = new TokenFile(path, silent);
  t.strictSame(await tokens.authenticate(token), { node: 'a' });
  t.equal(await tokens.authenticate(`${token}x`), undefined);
  t.equal(await tokens.authenticate(''), undefined);
  writeFileSync(path, `b ${token}\nc ${'c'.repeat(40)}\n`);
  t.strictSame(await tokens.authenticate(token), { node: 'b' });
  writeFileSync(path, 'broken line with many words\n');
  t.strictSame(await tokens.authenticate(token), { node: 'b' }, 'what was known stays');
});

test('TokenFile refuses a file that others may read, or that says nothing clear', async (t) => {
  const directory = t.testdir({});
  const path = `${directory}/tokens`;
  const open = (content: string) => () => {
    writeFileSync(path, content, { mode: 0o600 });
    return new TokenFile(path, silent);
  };
  t.throws(() => new TokenFile(path, silent), { code: 'CONFIG_INVALID' });
  t.throws(open('a short'), { message: /line 1: the token is shorter than 32/ });
  t.throws(open(`\nA ${'x'.repeat(32)}`), { message: /line 2: expected "<node> <token>"/ });
  chmodSync(path, 0o644);
  t.throws(() => new TokenFile(path, silent), { message: /others than its owner/ });
});
