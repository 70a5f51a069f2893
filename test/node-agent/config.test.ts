import { test } from 'tap';
import { readConfig, readDuration, readRemovalConfig } from '../../node-agent/config.ts';

const good = {
  node: 'n1',
  controller: 'wss://10.0.0.1:15012',
  controllerCa: '/etc/ca.pem',
  tokenFile: '/etc/token',
  netnsDir: '/run/netns',
  stateDir: '/var/lib/plumbline',
  runDir: '/run/plumbline',
};

test('readConfig() fills in what may be left out', async (t) => {
  t.match(readConfig(good), {
    node: 'n1',
    workers: 1,
    drainMs: 5000,
    resolvConf: '/etc/resolv.conf',
    logLevel: 'info',
    accessLog: 'json',
  });
});

test('readConfig() names every bad flag at once', async (t) => {
  t.throws(
    () => readConfig({ ...good, node: 'N 1', workers: '0', drain: '5 s', logLevel: 'loud' }),
    {
      code: 'CONFIG_INVALID',
      message:
        /--workers: expected 1 to 64, found "0"; --drain: .*found "5 s"; --node: .*found "N 1"; --log-level: expected one of debug, info, warn, error, found "loud"/,
    },
  );
  t.throws(() => readConfig({}), {
    message: /--controller: expected wss:\/\/HOST:PORT, found nothing/,
  });
  t.throws(() => readConfig({ ...good, controller: 'ws://10.0.0.1:15012' }), {
    code: 'CONFIG_INVALID',
  });
});

test('readDuration() knows milliseconds, seconds and minutes', async (t) => {
  t.strictSame(['500ms', '5s', '2m', '5', 's', '-1s'].map(readDuration), [
    500,
    5000,
    120_000,
    undefined,
    undefined,
    undefined,
  ]);
});

test('readConfig() reads what an agent on a real node is told', async (t) => {
  const config = readConfig({
    ...good,
    netnsLayout: 'node',
    cniBinDir: '/host/opt/cni/bin',
    cniConfDir: '/host/etc/cni/net.d',
    readyFile: '/run/ready/ready',
    daemonset: 'plumbline-system/plumbline-node-agent',
  });
  t.match(config, {
    netnsLayout: 'node',
    cni: {
      binDir: '/host/opt/cni/bin',
      confDir: '/host/etc/cni/net.d',
      stateDir: `${good.stateDir}/cni`,
      runDir: `${good.runDir}/cni`,
    },
    readyFile: '/run/ready/ready',
    daemonSet: { namespace: 'plumbline-system', name: 'plumbline-node-agent' },
  });
  t.match(readConfig(good), { netnsLayout: 'uid', cni: undefined, readyFile: '' });
  const wrong: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
    [{ netnsLayout: 'other' }, /--netns-layout: expected one of uid, node, found "other"/],
    [{ netnsLayout: 'node', cniBinDir: '/b' }, /--cni-bin-dir, --cni-conf-dir: expected two/],
    [{ netnsLayout: 'node', cniBinDir: 'b', cniConfDir: '/c' }, /found "b" and "\/c"/],
    [{ cniBinDir: '/b', cniConfDir: '/c' }, /--cni-bin-dir: expected --netns-layout node/],
    [{ readyFile: 'ready' }, /--ready-file: expected an absolute path, found "ready"/],
    [{ procDir: 'proc' }, /--proc-dir: expected an absolute directory/],
    [{ daemonset: 'agent' }, /--daemonset: expected NAMESPACE\/NAME, found "agent"/],
  ];
  for (const [flags, message] of wrong) {
    t.throws(() => readConfig({ ...good, ...flags }), { code: 'CONFIG_INVALID', message });
  }
});

test('readRemovalConfig() wants to know where things are, and nothing else', async (t) => {
  const flags = { netnsDir: '/run/netns', stateDir: '/var/lib/p', runDir: '/run/p' };
  t.strictSame(readRemovalConfig(flags), { ...flags, cni: undefined });
  t.throws(() => readRemovalConfig({ netnsDir: 'x', cniBinDir: '/b' }), {
    code: 'CONFIG_INVALID',
    message: /--netns-dir: .*found "x"; --state-dir: .*--run-dir: .*--cni-bin-dir/,
  });
});
