import { test } from 'tap';
import { readConfig, readDuration } from '../../node-agent/config.ts';

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
