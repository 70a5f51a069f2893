/** The small pure parts of plumb up: names, phases, privileges, proof rows, log files, tokens. */
import { readFileSync, statSync } from 'node:fs';
import { test } from 'tap';
import { decodeProof } from '../../../cli/up/gate.ts';
import { LogFile } from '../../../cli/up/log-file.ts';
import { isReady, phaseOf } from '../../../cli/up/pod-phase.ts';
import { hasCapabilities } from '../../../cli/up/privileges.ts';
import { meshNameFor, netnsPrefix, runDirOf } from '../../../cli/up/run-dir.ts';
import { NodeTokens } from '../../../cli/up/tokens.ts';

test('meshNameFor() makes a name out of the last part of a path', async (t) => {
  t.equal(meshNameFor('/home/me/My Shop (v2)/'), 'my-shop-v2');
  t.equal(meshNameFor('/'), 'mesh');
  t.equal(meshNameFor(`/x/${'a'.repeat(80)}`).length, 32);
  t.equal(meshNameFor(`/x/${'a'.repeat(31)}-b`), 'a'.repeat(31));
});

test('runDirOf() refuses a name that could leave its place', async (t) => {
  for (const name of ['', '..', 'a/b', 'a.b', 'A', '-a', 'a'.repeat(33)]) {
    t.throws(() => runDirOf(name), { code: 'CONFIG_INVALID' }, name);
  }
});

test('netnsPrefix() of one mesh is never the beginning of another’s', async (t) => {
  t.notOk(netnsPrefix('shop-2').startsWith(netnsPrefix('shop')));
});

test('phaseOf() and isReady() count containers as Kubernetes does', async (t) => {
  const up = { state: 'running', ready: true } as const;
  const unready = { state: 'running', ready: false } as const;
  const waiting = { state: 'waiting' } as const;
  const ended = (code: number) => ({ state: 'ended', code }) as const;
  t.equal(phaseOf([waiting], false), 'Pending');
  t.equal(phaseOf([up, unready], true), 'Running');
  t.equal(phaseOf([waiting], true), 'Running');
  t.equal(phaseOf([ended(0), up], true), 'Running');
  t.equal(phaseOf([ended(0), ended(0)], true), 'Succeeded');
  t.equal(phaseOf([ended(0), ended(1)], true), 'Failed');
  t.equal(isReady([up, up]), true);
  t.equal(isReady([up, unready]), false);
  t.equal(isReady([up, ended(0)]), false);
});

test('hasCapabilities() wants both NET_ADMIN and SYS_ADMIN', async (t) => {
  t.equal(hasCapabilities('Name:\tx\nCapEff:\t000001ffffffffff\n'), true);
  t.equal(hasCapabilities('CapEff:\t0000000000201000\n'), true);
  t.equal(hasCapabilities('CapEff:\t0000000000001000\n'), false);
  t.equal(hasCapabilities('CapEff:\t0000000000200000\n'), false);
  t.equal(hasCapabilities('CapEff:\t0000000000000000\n'), false);
  t.equal(hasCapabilities(''), false);
});

test('decodeProof() takes nothing for proof that is not clearly one', async (t) => {
  const rows = decodeProof(
    JSON.stringify([
      { podUid: 'a', enrolled: true, exemption: '', problem: '', capture: { proven: true } },
      { podUid: 'b', enrolled: true, problem: '', capture: { proven: 'true', reason: 'r' } },
      { podUid: 'c', enrolled: false, exemption: 'not labelled', capture: null },
      { podUid: 'd', problem: 'p' },
      null,
    ]),
  );
  t.strictSame(
    rows.map(({ podUid, enrolled, proven, reason }) => [podUid, enrolled, proven, reason]),
    [
      ['a', true, true, ''],
      ['b', true, false, 'r'],
      ['c', false, false, ''],
      ['d', true, false, 'p'],
      ['', true, false, ''],
    ],
  );
  t.throws(() => decodeProof('{}'), TypeError);
});

test('LogFile.write() keeps a program that prints without end within two files', async (t) => {
  const path = `${t.testdir({})}/x.log`;
  const log = new LogFile(path);
  const block = Buffer.alloc(3 << 20, 'x');
  for (let i = 0; i < 6; i += 1) log.write(block);
  log.line('last');
  log.close();
  log.write(block);
  t.ok(statSync(path).size <= 8 << 20);
  t.ok(statSync(`${path}.1`).size <= 8 << 20);
  t.match(readFileSync(path, 'utf8').slice(-5), 'last\n');
});

test('LogFile.lastLine() gives what was printed last, also of a file that is full', async (t) => {
  const log = new LogFile(`${t.testdir({})}/x.log`);
  t.equal(log.lastLine(), '');
  log.line('first');
  log.line('Cannot use the directory');
  t.equal(log.lastLine(), 'Cannot use the directory');
  for (let i = 0; i < 3; i += 1) log.write(Buffer.alloc(3 << 20, 'x\n'));
  log.line('last');
  t.equal(log.lastLine(), 'last');
  log.close();
});

test('NodeTokens gives each node a token of its own, in a file for its owner alone', async (t) => {
  const path = `${t.testdir({})}/tokens`;
  const tokens = new NodeTokens(path);
  const a = tokens.add('node-a');
  const b = tokens.add('node-b');
  t.not(a, b);
  t.ok(a.length >= 32);
  t.equal(readFileSync(path, 'utf8'), `node-a ${a}\nnode-b ${b}\n`);
  t.equal(statSync(path).mode & 0o777, 0o600);
  tokens.remove('node-a');
  t.equal(readFileSync(path, 'utf8'), `node-b ${b}\n`);
});
