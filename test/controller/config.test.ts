import { test } from 'tap';
import { readConfig, type ControllerFlags } from '../../controller/config.ts';

const good: ControllerFlags = {
  source: 'directory',
  directory: 'mesh',
  stateDir: '/state',
  runDir: '/run/x',
  listen: ['10.0.0.1:15012', '[fd00::1]:15012'],
  tokens: '/run/tokens',
  trustDomain: 'cluster.local',
  cluster: 'Kubernetes',
  metrics: '0.0.0.0:15014',
  logLevel: 'info',
  logFormat: 'json',
  rotationSettle: '12s',
  leafLife: '24h',
};

test('readConfig() takes what is right', async (t) => {
  t.match(readConfig(good), {
    listen: [
      { host: '10.0.0.1', port: 15_012 },
      { host: 'fd00::1', port: 15_012 },
    ],
    metrics: { host: '0.0.0.0', port: 15_014 },
    rotationSettleMs: 12_000,
    leafLifeMs: 86_400_000,
  });
  t.equal(readConfig({ ...good, metrics: undefined }).metrics, undefined);
});

test('readConfig() knows an API server by kubeconfig, or as the cluster around it', async (t) => {
  const { directory: _d, stateDir: _s, tokens: _t, ...rest } = good;
  const cluster = {
    ...rest,
    source: 'kubernetes',
    namespace: 'plumbline-system',
    replica: 'plumbline-controller-7d9f-x2',
  };
  const source = { kind: 'kubernetes', namespace: 'plumbline-system' };
  t.match(readConfig(cluster).source, { ...source, kubeconfig: undefined });
  t.match(readConfig({ ...cluster, kubeconfig: 'a.conf' }).source, { kubeconfig: 'a.conf' });
  const table: [ControllerFlags, RegExp][] = [
    [{ source: 'cluster' }, /--source: expected one of directory, kubernetes, found "cluster"/],
    [{ replica: undefined }, /--replica: expected the name of this pod, found nothing/],
    [{ namespace: 'A/b' }, /--namespace: expected the name of a namespace, found "A\/b"/],
    [{ tokens: '/t' }, /--tokens: expected nothing with --source kubernetes, found "\/t"/],
  ];
  for (const [flags, found] of table) t.throws(() => readConfig({ ...cluster, ...flags }), found);
});

test('readConfig() lists everything that is wrong, each with what was expected', async (t) => {
  t.throws(() => readConfig({}), {
    code: 'CONFIG_INVALID',
    message: /--listen: expected IP:PORT, at least once, found nothing.*--source.*--run-dir/,
  });
  const table: [ControllerFlags, RegExp][] = [
    [{ listen: ['localhost:1'] }, /--listen: expected IP:PORT, found "localhost:1"/],
    [{ listen: ['10.0.0.1:70000'] }, /--listen: expected IP:PORT/],
    [{ listen: ['999.0.0.1:1'] }, /--listen: expected IP:PORT/],
    [{ stateDir: 'relative' }, /--state-dir: expected an absolute directory, found "relative"/],
    [{ logLevel: 'loud' }, /--log-level: expected one of debug, info, warn, error, found "loud"/],
    [{ trustDomain: 'Upper' }, /--trust-domain: expected a trust domain/],
    [{ leafLife: '1s' }, /--leaf-life: expected a duration/],
    [{ rotationSettle: 'soon' }, /--rotation-settle: expected a duration/],
  ];
  for (const [flags, found] of table) t.throws(() => readConfig({ ...good, ...flags }), found);
});
