/** Where the plugin stands in the network configurations of a node. */
import { test } from 'tap';
import { chained, OWN_FILE, unchained } from '../../../node-agent/cni/conflist.ts';

const PLUGIN = { type: 'plumbline' };
const BRIDGE = { type: 'bridge', bridge: 'cni0', isGateway: true };

function list(name: string, ...plugins: object[]): string {
  return JSON.stringify({ cniVersion: '1.0.0', name, plugins });
}

function files(all: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(all));
}

/** The directory after the changes, decoded. */
function after(before: Map<string, string>, { write, remove }: ReturnType<typeof chained>) {
  const next = new Map([...before, ...write]);
  for (const name of remove) next.delete(name);
  return Object.fromEntries(
    Array.from(next, ([name, text]): [string, { plugins?: unknown }] => [name, JSON.parse(text)]),
  );
}

test('chained() puts the plugin last into the first configuration by name', async (t) => {
  const before = files({
    '10-a.conflist': list('a', BRIDGE, { type: 'portmap' }),
    '20-b.conflist': list('b', BRIDGE),
  });
  const changes = chained(before);
  t.equal(changes.chainedIn, '10-a.conflist');
  const found = after(before, changes);
  t.strictSame(found['10-a.conflist']?.plugins, [BRIDGE, { type: 'portmap' }, PLUGIN]);
  t.strictSame(found['20-b.conflist']?.plugins, [BRIDGE]);
});

test('chained() writes nothing when all is right', async (t) => {
  const right = files({ '10-a.conflist': list('a', BRIDGE, PLUGIN), README: 'not one of them' });
  t.strictSame(chained(right), { write: new Map(), remove: [], chainedIn: '10-a.conflist' });
});

test('chained() moves the plugin to its place when others changed the chain or the order', async (t) => {
  const before = files({
    '05-new.conflist': list('new', BRIDGE),
    '10-a.conflist': list('a', BRIDGE, PLUGIN),
    '15-wrong.conflist': list('w', PLUGIN, BRIDGE, PLUGIN),
  });
  const found = after(before, chained(before));
  t.strictSame(found['05-new.conflist']?.plugins, [BRIDGE, PLUGIN]);
  t.strictSame(found['10-a.conflist']?.plugins, [BRIDGE]);
  t.strictSame(found['15-wrong.conflist']?.plugins, [BRIDGE]);
  const middle = files({ '10-a.conflist': list('a', PLUGIN, BRIDGE) });
  t.strictSame(after(middle, chained(middle))['10-a.conflist']?.plugins, [BRIDGE, PLUGIN]);
});

test('chained() makes a chain of its own of a file with one plugin, and leaves that file alone', async (t) => {
  const single = JSON.stringify({ cniVersion: '0.4.0', name: 'net', ...BRIDGE });
  const before = files({ '10-net.conf': single });
  const changes = chained(before);
  t.equal(changes.chainedIn, OWN_FILE);
  t.strictSame([...changes.write.keys()], [OWN_FILE]);
  t.strictSame(after(before, changes)[OWN_FILE], {
    cniVersion: '0.4.0',
    name: 'net',
    plugins: [BRIDGE, PLUGIN],
  });
  t.ok(OWN_FILE < '00-multus.conf');
  const again = files({ '10-net.conf': single, ...Object.fromEntries(changes.write) });
  t.equal(chained(again).write.size, 0);
  const replaced = files({ '10-net.conflist': list('a', BRIDGE), [OWN_FILE]: list('old', PLUGIN) });
  t.strictSame(chained(replaced).remove, [OWN_FILE], 'when a chain takes its place');
  const alone = files({ [OWN_FILE]: list('old', BRIDGE, PLUGIN) });
  t.strictSame(chained(alone).remove, [OWN_FILE], 'when it is gone');
});

test('chained() says what it cannot read, and touches nothing', async (t) => {
  for (const [name, text] of [
    ['10-a.conflist', '{"plugins":'],
    ['10-a.conf', '[]'],
    ['10-a.conf', '{"name":"no type"}'],
    ['+first.conf', '{"type":"bridge"}'],
  ] as const) {
    const before = files({ [name]: text, '20-b.conflist': list('b', BRIDGE) });
    t.throws(() => chained(before), { code: 'CONFIG_INVALID', message: name });
  }
  t.equal(chained(files({})).chainedIn, undefined);
});

test('unchained() takes the plugin out of every chain and nothing else', async (t) => {
  const before = files({
    '10-a.conflist': list('a', BRIDGE, PLUGIN),
    '20-b.conflist': list('b', BRIDGE),
    '30-c.conflist': '{"broken": "plumbline"',
    [OWN_FILE]: list('own', BRIDGE, PLUGIN),
  });
  const { write, remove } = unchained(before);
  t.strictSame(remove, [OWN_FILE]);
  t.strictSame([...write.keys()], ['10-a.conflist']);
  const text = write.get('10-a.conflist') ?? '';
  t.strictSame(JSON.parse(text), JSON.parse(list('a', BRIDGE)));
});
