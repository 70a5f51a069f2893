/** The agent's end of the gate, with the real plugin at the other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import type { Test } from 'tap';
import { CniGate, type Standing } from '../../../node-agent/cni/gate.ts';
import { scriptFor } from '../../../node-agent/cni/installer.ts';
import type { CniRequest } from '../../../node-agent/cni/request.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';

const CONFIG = '{"cniVersion":"1.0.0","name":"n","prevResult":{"ips":[]},"type":"plumbline"}';

function rig(t: Test, answerMs = 8_500) {
  const directory = t.testdir();
  const paths = { stateDir: `${directory}/state`, runDir: `${directory}/run` };
  writeFileSync(`${directory}/plumbline`, scriptFor(paths).replace(/^tries=\d+/m, 'tries=20'));
  const asked: CniRequest[] = [];
  const now: { standing: Standing } = { standing: { kind: 'proven' } };
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  const start = (): CniGate => {
    const gate = new CniGate({
      ...paths,
      answerMs,
      log: silent,
      standing: (request) => {
        asked.push(request);
        return now.standing;
      },
    });
    gate.start();
    t.after(() => gate.stop());
    return gate;
  };
  let serial = 0;
  const add = async (namespace: string): Promise<string> => {
    const child = spawn('sh', [`${directory}/plumbline`], {
      env: {
        PATH: process.env['PATH'],
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: `c${(serial += 1)}`,
        CNI_NETNS: '/var/run/netns/cni-1',
        CNI_ARGS: `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=web;K8S_POD_UID=uid-1`,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stdin.end(CONFIG);
    const [code] = await once(child, 'close');
    if (code === 0) return 'passed';
    const { msg }: { msg: string } = JSON.parse(out);
    return msg;
  };
  return { ...paths, start, add, asked, now };
}

const hold = { name: 'shop', onFailure: 'hold' as const };
const open = { name: 'web', onFailure: 'open' as const };

test('a pod of an enrolled namespace starts when it is proven, and not before', async (t) => {
  const { start, add, asked, now, runDir } = rig(t);
  const gate = start();
  gate.setNamespaces([hold]);
  t.equal(await add('other'), 'passed');
  t.equal(asked.length, 0, 'of other namespaces nobody asks');
  now.standing = { kind: 'wait', reason: 'not probed yet' };
  let isOver = false;
  const started = add('shop').finally(() => (isOver = true));
  await eventually(() => asked.length > 3, 'asked again and again');
  t.notOk(isOver);
  now.standing = { kind: 'proven' };
  t.equal(await started, 'passed');
  t.match(asked[0], { namespace: 'shop', name: 'web', uid: 'uid-1', hasPassed: false });
  now.standing = { kind: 'pass' };
  t.equal(await add('shop'), 'passed', 'one that opts out');
  t.match(gate.counters, { proven: 1, passed: 1, held: 0, unproven: 0 });
  t.strictSame(readdirSync(`${runDir}/requests`), []);
});

test('a pod that is not proven in time is held back with the reason', async (t) => {
  const { start, add, now } = rig(t, 100);
  const gate = start();
  gate.setNamespaces([hold, open]);
  now.standing = { kind: 'wait', reason: 'outbound IPv4: "nobody" answered\\\n' };
  t.match(await add('shop'), /pod shop\/web is held back.*outbound IPv4: 'nobody' answered''$/);
  t.equal(await add('web'), 'passed', 'where the namespace says open');
  t.match(gate.counters, { held: 1, unproven: 1 });
});

test('the list holds pods back without an agent, and outlives it', async (t) => {
  const { start, add, asked, stateDir } = rig(t);
  const first = start();
  first.setNamespaces([hold, open]);
  first.stop();
  t.match(await add('shop'), /did not answer/);
  t.equal(await add('web'), 'passed');
  t.equal(await add('other'), 'passed');
  const second = start();
  await eventually(() => second.counters.unproven === 1, 'knows of the pod that passed unproven');
  t.match(asked.at(-1), { namespace: 'web', hasPassed: true });
  t.equal(await add('shop'), 'passed', 'the new agent holds to the list before it hears another');
  second.setNamespaces([open]);
  t.equal(await add('shop'), 'passed');
  t.strictSame(readdirSync(`${stateDir}/namespaces`), ['web']);
  t.equal(readFileSync(`${stateDir}/namespaces/web`, 'utf8'), 'open\n');
});
