/** The plugin put into a node, kept there whatever other tools do, and taken away without trace. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { test } from 'tap';
import type { Test } from 'tap';
import { CniInstaller } from '../../../node-agent/cni/installer.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

const LIST = '{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"ptp"},{"type":"portmap"}]}';

function node(t: Test, mayInstall = (): boolean => true) {
  const directory = t.testdir({ 'net.d': {} });
  const confDir = `${directory}/net.d`;
  const binDir = `${directory}/bin`;
  const deps = {
    stateDir: '/var/lib/x/cni',
    runDir: '/run/x/cni',
    binDir,
    confDir,
    log: silent,
    mayInstall,
  };
  const installer = new CniInstaller(deps);
  t.after(() => installer.stop());
  const types = (name: string): string[] => {
    const { plugins }: { plugins: { type: string }[] } = JSON.parse(
      readFileSync(`${confDir}/${name}`, 'utf8'),
    );
    return plugins.map(({ type }) => type);
  };
  /** As other tools do it: beside, then by rename. */
  const configure = (name: string, text: string): void => {
    writeFileSync(`${confDir}/.tmp`, text, { mode: 0o640 });
    renameSync(`${confDir}/.tmp`, `${confDir}/${name}`);
  };
  return { confDir, binDir, installer, types, configure };
}

test('the plugin is there before it is named, with the paths of this node', async (t) => {
  const { installer, binDir, confDir, types, configure } = node(t);
  configure('10-net.conflist', LIST);
  installer.look();
  t.equal(installer.problem, '');
  t.strictSame(types('10-net.conflist'), ['ptp', 'portmap', 'plumbline']);
  const script = readFileSync(`${binDir}/plumbline`, 'utf8');
  t.match(script, /^state='\/var\/lib\/x\/cni'$/m);
  t.match(script, /^run='\/run\/x\/cni'$/m);
  t.equal(statSync(`${binDir}/plumbline`).mode & 0o777, 0o755);
  t.equal(statSync(`${confDir}/10-net.conflist`).mode & 0o777, 0o640, 'as it was');
  t.strictSame(readdirSync(confDir), ['10-net.conflist'], 'nothing is left beside it');
  const { ino } = statSync(`${confDir}/10-net.conflist`);
  installer.look();
  t.equal(statSync(`${confDir}/10-net.conflist`).ino, ino, 'what is right is not written again');
});

test('a plugin that cannot be put in place is not named', async (t) => {
  const { installer, binDir, types, configure } = node(t);
  configure('10-net.conflist', LIST);
  writeFileSync(binDir, 'a file where the directory should be');
  installer.look();
  t.match(installer.problem, /EEXIST|ENOTDIR/);
  t.strictSame(types('10-net.conflist'), ['ptp', 'portmap']);
});

test('what other tools write is chained again, and files that are damaged are mended', async (t) => {
  const { installer, binDir, types, configure } = node(t);
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  installer.start();
  t.match(installer.problem, /no network configuration/);
  configure('10-net.conflist', LIST);
  await eventually(() => types('10-net.conflist').at(-1) === 'plumbline', 'chained', 10_000);
  configure('10-net.conflist', LIST.replace('portmap', 'firewall'));
  await eventually(() => types('10-net.conflist').at(-1) === 'plumbline', 'chained again', 10_000);
  t.strictSame(types('10-net.conflist'), ['ptp', 'firewall', 'plumbline']);
  configure('05-other.conflist', LIST);
  await eventually(
    () => types('05-other.conflist').at(-1) === 'plumbline',
    'the new first',
    10_000,
  );
  t.strictSame(types('10-net.conflist'), ['ptp', 'firewall']);
  writeFileSync(`${binDir}/plumbline`, 'exit 1');
  await eventually(
    () => readFileSync(`${binDir}/plumbline`, 'utf8').includes('K8S_POD_NAMESPACE'),
    'the plugin itself',
    10_000,
  );
  installer.stop();
});

test('remove() leaves the node as it was', async (t) => {
  const { installer, binDir, confDir, configure } = node(t);
  mkdirSync(binDir);
  writeFileSync(`${binDir}/ptp`, 'another plugin');
  configure('10-net.conflist', LIST);
  installer.look();
  installer.remove();
  t.strictSame(JSON.parse(readFileSync(`${confDir}/10-net.conflist`, 'utf8')), JSON.parse(LIST));
  t.strictSame(readdirSync(binDir), ['ptp']);
  t.strictSame(readdirSync(confDir), ['10-net.conflist']);
});

test('remove() keeps the plugin while a chain that names it cannot be written', async (t) => {
  const { installer, binDir, confDir, configure } = node(t);
  configure('10-net.conflist', LIST);
  installer.look();
  mkdirSync(`${confDir}/10-net.conflist.plumbline-new`);
  t.throws(() => installer.remove(), { code: 'EISDIR' });
  t.strictSame(readdirSync(binDir), ['plumbline']);
});

test('of two agents on a node only the one that may keeps the plugin', async (t) => {
  const turn = { isMine: false };
  const { installer, binDir, types, configure } = node(t, () => turn.isMine);
  configure('10-net.conflist', LIST);
  installer.look();
  t.strictSame(types('10-net.conflist'), ['ptp', 'portmap']);
  t.notOk(existsSync(binDir));
  turn.isMine = true;
  installer.look();
  t.strictSame(types('10-net.conflist'), ['ptp', 'portmap', 'plumbline']);
  t.equal(installer.writes, 1);
});
