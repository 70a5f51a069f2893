/** The CNI plugin, under the shells that hosts have, asked as a container runtime asks it. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import type { Test } from 'tap';
import { scriptFor } from '../../../node-agent/cni/installer.ts';
import { parseRequest } from '../../../node-agent/cni/request.ts';

const SHELLS: readonly (readonly string[])[] = [['dash'], ['busybox', 'sh'], ['bash', '--posix']];

const RESULT =
  '{"cniVersion":"1.0.0","dns":{},"interfaces":[{"mac":"0a:58:0a","name":"eth0","sandbox":"/var/run/netns/cni-1"}],"ips":[{"address":"10.244.1.7/24","interface":0}]}';
const CONFIG = `{"cniVersion":"1.0.0","name":"cbr0","prevResult":${RESULT},"type":"plumbline"}`;

const POD = {
  CNI_CONTAINERID: 'c0ffee',
  CNI_NETNS: '/var/run/netns/cni-1',
  CNI_IFNAME: 'eth0',
  CNI_ARGS:
    'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID=8d1c5c4e-4c1e-4d7a-9f0e-0123456789ab',
};

function has(shell: string): boolean {
  try {
    execFileSync(shell, shell === 'busybox' ? ['true'] : ['-c', 'true']);
    return true;
  } catch {
    return false;
  }
}

function plugin(t: Test, shell: readonly string[]) {
  const directory = t.testdir({ state: { namespaces: {} }, run: {} });
  const stateDir = `${directory}/state`;
  const runDir = `${directory}/run`;
  // Who has to wait the whole time is not waited for here.
  const script = scriptFor({ stateDir, runDir }).replace(/^tries=\d+/m, 'tries=3');
  writeFileSync(`${directory}/plumbline`, script, { mode: 0o755 });
  const call = async (command: string, env: object = POD, config = CONFIG) => {
    const [program = '', ...args] = shell;
    const child = spawn(program, [...args, `${directory}/plumbline`], {
      env: { PATH: process.env['PATH'] ?? '', CNI_COMMAND: command, ...env },
    });
    const out: Buffer[] = [];
    const errors: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
    child.stdin.on('error', () => {});
    child.stdin.end(config);
    const [code] = await once(child, 'close');
    return { code, out: Buffer.concat(out).toString(), errors: Buffer.concat(errors).toString() };
  };
  const enrol = (mode: string): void => writeFileSync(`${stateDir}/namespaces/shop`, `${mode}\n`);
  const answer = (text: string): void => {
    mkdirSync(`${runDir}/answers`, { recursive: true });
    mkdirSync(`${runDir}/requests`, { recursive: true });
    writeFileSync(`${runDir}/answers/c0ffee`, text);
  };
  const request = (): string => readFileSync(`${runDir}/requests/c0ffee`, 'utf8');
  return { runDir, call, enrol, answer, request };
}

for (const shell of SHELLS) {
  const [program = ''] = shell;
  const skip = has(program) ? false : `no ${program} on this machine`;
  const name = shell.join(' ');

  test(`${name}: a pod of a namespace that is not enrolled passes at once`, { skip }, async (t) => {
    const { call, runDir, enrol } = plugin(t, shell);
    t.strictSame(await call('ADD'), { code: 0, out: `${RESULT}\n`, errors: '' }, 'with no list');
    enrol('hold');
    for (const namespace of ['sho', 'shop2', '', '../namespaces/shop', 'a b']) {
      const env = { ...POD, CNI_ARGS: `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=web-0` };
      t.strictSame(await call('ADD', env), { code: 0, out: `${RESULT}\n`, errors: '' });
    }
    t.strictSame(await call('ADD', {}), { code: 0, out: `${RESULT}\n`, errors: '' }, 'no pod');
    t.strictSame(readdirSync(runDir), [], 'nobody is asked');
  });

  test(
    `${name}: a pod of an enrolled namespace asks, and passes when it may`,
    { skip },
    async (t) => {
      const { call, enrol, answer, request, runDir } = plugin(t, shell);
      enrol('hold');
      answer('ok\n');
      t.strictSame(await call('ADD'), { code: 0, out: `${RESULT}\n`, errors: '' });
      t.strictSame(parseRequest(request()), {
        namespace: 'shop',
        name: 'web-0',
        uid: '8d1c5c4e-4c1e-4d7a-9f0e-0123456789ab',
        netns: '/var/run/netns/cni-1',
        hasPassed: false,
      });
      t.equal(statSync(`${runDir}/requests/c0ffee`).mode & 0o077, 0, 'for root alone');
    },
  );

  test(`${name}: a pod that may not start fails with a text for its Event`, { skip }, async (t) => {
    const { call, enrol, answer, request } = plugin(t, shell);
    enrol('hold');
    answer('fail outbound IPv4: nobody answered\n');
    const { code, out, errors } = await call('ADD');
    t.equal(code, 1);
    t.equal(errors, '');
    t.match(JSON.parse(out), {
      cniVersion: '1.0.0',
      code: 11,
      msg: /shop\/web-0 is held back.*not proven: outbound IPv4: nobody answered$/,
    });
    t.equal(request(), '', 'nobody waits any more');
  });

  test(`${name}: without an agent a pod is held, or passes and is marked`, { skip }, async (t) => {
    const { call, enrol, request } = plugin(t, shell);
    enrol('hold');
    const held = await call('ADD');
    t.equal(held.code, 1);
    t.match(JSON.parse(held.out), { code: 11, msg: /did not answer within 10 s/ });
    enrol('open');
    t.strictSame(await call('ADD'), { code: 0, out: `${RESULT}\n`, errors: '' });
    t.match(parseRequest(request()), { name: 'web-0', hasPassed: true });
  });

  test(`${name}: what is not asked of it, or asked wrongly`, { skip }, async (t) => {
    const { call, enrol } = plugin(t, shell);
    for (const command of ['DEL', 'CHECK', 'GC', 'STATUS']) {
      t.strictSame(await call(command, POD, ''), { code: 0, out: '', errors: '' });
    }
    const { out } = await call('VERSION', {}, '');
    t.match(JSON.parse(out), { supportedVersions: ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] });
    t.match(JSON.parse((await call('PLAY')).out), { code: 4, msg: /expected CNI_COMMAND/ });
    for (const config of ['{"cniVersion":"1.0.0","type":"plumbline"}', '', CONFIG.slice(0, -20)]) {
      const wrong = await call('ADD', POD, config);
      t.equal(wrong.code, 1);
      t.match(JSON.parse(wrong.out), { code: 7, msg: /expected/ });
    }
    enrol('hold');
    const bad = [
      { ...POD, CNI_CONTAINERID: '../../etc/passwd' },
      { ...POD, CNI_CONTAINERID: '' },
      { ...POD, CNI_NETNS: '/run/netns/a"b' },
      { ...POD, CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=we"b' },
      { ...POD, CNI_ARGS: 'K8S_POD_NAMESPACE=shop;K8S_POD_NAME=w\nend' },
    ];
    for (const env of bad) t.match(JSON.parse((await call('ADD', env)).out), { code: 4 });
  });
}
