/**
 * `plumb up` as its user meets it: started, edited, interrupted, killed; real programs, real kernel.
 *
 * Each test has a mesh of its own name and, whatever happens, leaves nothing of it behind.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { cleanUp, namespacesOf, runDirOf } from '../../cli/up/run-dir.ts';
import { isAlive, readProcessList } from '../../cli/up/processes.ts';
import { run } from '../../cli/up/command.ts';
import { needsRoot } from '../helpers/netns.ts';

const plumb = fileURLToPath(new URL('../../scripts/plumb', import.meta.url));

interface Test {
  testdir(files: Record<string, string>): string;
  after(undo: () => void | Promise<void>): void;
}

const base = `
apiVersion: v1
kind: Node
metadata: { name: n1 }
---
apiVersion: v1
kind: Namespace
metadata: { name: app, labels: { plumbline.dev/dataplane-mode: ambient } }
---
apiVersion: v1
kind: Service
metadata: { name: echo, namespace: app }
spec:
  selector: { app: echo }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;

const server = `
import { createServer } from 'node:http';
import { networkInterfaces, hostname } from 'node:os';
import { readFileSync } from 'node:fs';
createServer((q, r) => r.end(JSON.stringify({
  greeting: process.env.GREETING, host: hostname(), pid: process.pid, url: q.url,
  hosts: readFileSync('/etc/hosts', 'utf8'), env: Object.keys(process.env).sort(),
  interfaces: Object.keys(networkInterfaces()).sort(),
}))).listen(8080, '::');
process.on('SIGTERM', () => process.exit(0));
`;

function pod(greeting: string): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: echo, namespace: app, labels: { app: echo } }
spec:
  nodeName: n1
  terminationGracePeriodSeconds: 2
  containers:
    - name: echo
      image: none
      command: [node, server.mjs]
      env: [{ name: GREETING, value: ${greeting} }]
      ports: [{ containerPort: 8080 }]
      readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
`;
}

class Up {
  readonly name: string;
  readonly directory: string;
  readonly lines: string[] = [];
  readonly exit: Promise<number | null>;
  readonly #child;
  #waiting: (() => void)[] = [];

  constructor(t: Test, name: string, directory: string, args: readonly string[] = []) {
    this.name = name;
    this.directory = directory;
    this.#child = spawn(plumb, ['up', directory, '--name', name, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const done = Promise.withResolvers<number | null>();
    this.exit = done.promise;
    this.#child.once('exit', (code) => {
      done.resolve(code);
      this.#note('(ended)');
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => this.#note(line));
    }
    t.after(async () => {
      this.#child.kill('SIGKILL');
      await this.exit;
      await cleanUp(runDirOf(name));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for a line that was not there before the `from`th; throws when the program ends first. */
  async line(shape: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.lines.slice(from).find((line) => shape.test(line));
      if (found !== undefined) return found;
      if (this.lines.includes('(ended)')) {
        throw new Error(`no line like ${String(shape)} in:\n${this.lines.join('\n')}`);
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Asks the pod from another namespace of the world: the node's. */
  async ask(): Promise<Record<string, unknown>> {
    const [, address = ''] =
      /pod app\/echo is ready on n1 (\S+)/.exec(
        this.lines.findLast((l) => /echo is ready/.test(l)) ?? '',
      ) ?? [];
    const script = `fetch('http://${address}:8080/').then(async (r) => console.log(await r.text()))`;
    const netns = `/run/netns/plumb-${this.name}.node.n1`;
    return JSON.parse(await run('nsenter', [`--net=${netns}`, process.execPath, '-e', script]));
  }

  #note(line: string): void {
    this.lines.push(line);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function nothingIsLeft(name: string): string[] {
  const dir = runDirOf(name);
  return [
    ...namespacesOf(name),
    ...(existsSync(dir.path) ? [dir.path] : []),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`/${name}/`)),
    ...readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .map((pid) => commandOf(pid))
      .filter((command) => command.includes(`/${name}/`)),
  ];
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

test(
  'plumb up runs a directory, applies edits live, and removes everything at Ctrl-C',
  { skip: needsRoot },
  async (t) => {
    const directory = t.testdir({
      'base.yaml': base,
      'pod.yaml': pod('one'),
      'server.mjs': server,
    });
    const up = new Up(t, 't-live', directory);
    await up.line(/all 1 pods are ready/);

    const first = await up.ask();
    t.equal(first['greeting'], 'one');
    t.equal(first['host'], 'echo', 'the host name is the pod’s');
    t.equal(first['pid'], 1, 'it is the first of its own pid namespace');
    t.strictSame(first['interfaces'], ['eth0', 'lo']);
    t.match(first['hosts'], /^10\.32\.\d+\.\d+ echo$/m, 'services have names');
    t.strictSame(first['env'], ['GREETING', 'HOME', 'HOSTNAME', 'LANG', 'PATH']);
    t.equal(readFileSync('/etc/hosts', 'utf8').includes('10.32.'), false, 'ours is untouched');

    const before = up.lines.length;
    writeFileSync(`${directory}/pod.yaml`, pod('two'));
    await up.line(/pod app\/echo is gone/, before);
    await up.line(/pod app\/echo is ready/, before);
    t.equal((await up.ask())['greeting'], 'two');

    const broken = up.lines.length;
    writeFileSync(`${directory}/pod.yaml`, pod('three').replace('nodeName: n1', 'nodeNaem: n1'));
    t.match(await up.line(/problem: /, broken), /pod\.yaml:\d+: Pod app\/echo: spec\.nodeNaem/);
    await up.line(/last good state .* stays in force/, broken);
    t.equal((await up.ask())['greeting'], 'two');

    const mended = up.lines.length;
    writeFileSync(`${directory}/pod.yaml`, pod('four'));
    await up.line(/in order and in force/, mended);
    await up.line(/pod app\/echo is ready/, mended);
    t.equal((await up.ask())['greeting'], 'four');

    const answer = await run(plumb, ['agent', 'replace', 'n1', '--mesh', 't-live', '-o', 'json']);
    const [replaced]: { before: number; after: number }[] = JSON.parse(answer);
    t.match(replaced, { node: 'n1' });
    t.not(replaced?.before, replaced?.after, 'another process');
    t.equal((await up.ask())['greeting'], 'four');
    await t.rejects(run(plumb, ['agent', 'replace', 'n9', '--mesh', 't-live']), /no node "n9"/);

    up.kill('SIGINT');
    t.equal(await up.exit, 0);
    t.strictSame(nothingIsLeft('t-live'), []);
  },
);

test('plumb up cleans up after one that was killed, and starts', { skip: needsRoot }, async (t) => {
  const directory = t.testdir({ 'base.yaml': base, 'pod.yaml': pod('one'), 'server.mjs': server });
  const killed = new Up(t, 't-kill', directory);
  await killed.line(/all 1 pods are ready/);
  const processes = readProcessList(runDirOf('t-kill').processFile);
  t.equal(processes.length, 3, 'controller, agent, container');
  killed.kill('SIGKILL');
  await killed.exit;
  t.not(nothingIsLeft('t-kill').length, 0);

  const next = new Up(t, 't-kill', directory);
  await next.line(/cleaned up after a killed mesh: \d+ processes, 3 namespaces/);
  t.notOk(processes.some(isAlive));
  await next.line(/all 1 pods are ready/);
  t.equal((await next.ask())['greeting'], 'one');
  next.kill('SIGTERM');
  t.equal(await next.exit, 0);
  t.strictSame(nothingIsLeft('t-kill'), []);
});

test(
  'plumb up does not touch a mesh of the same name that runs',
  { skip: needsRoot },
  async (t) => {
    const directory = t.testdir({
      'base.yaml': base,
      'pod.yaml': pod('one'),
      'server.mjs': server,
    });
    const first = new Up(t, 't-twice', directory);
    await first.line(/all 1 pods are ready/);
    const second = new Up(t, 't-twice', directory);
    t.equal(await second.exit, 2);
    t.match(second.lines.join('\n'), /is up already \(pid \d+\)/);
    t.equal((await first.ask())['greeting'], 'one');
    first.kill('SIGINT');
    t.equal(await first.exit, 0);
  },
);

test(
  'plumb up starts a container again when it ends or fails its liveness probe',
  { skip: needsRoot },
  async (t) => {
    const directory = t.testdir({
      'base.yaml': base,
      'pod.yaml': pod('x').replace(
        'readinessProbe:',
        'livenessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1, failureThreshold: 1 }\n      readinessProbe:',
      ),
      'server.mjs': `
import { createServer } from 'node:http';
import { existsSync, writeFileSync } from 'node:fs';
const [first, second] = [new URL('first', import.meta.url), new URL('second', import.meta.url)];
if (!existsSync(first)) { writeFileSync(first, ''); process.exit(3); }
const isSecond = !existsSync(second);
writeFileSync(second, '');
let asked = 0;
createServer((q, r) => { asked += 1; r.statusCode = isSecond && asked > 3 ? 500 : 200; r.end('{}'); }).listen(8080, '::');
process.on('SIGTERM', () => process.exit(0));
`,
    });
    const up = new Up(t, 't-restart', directory);
    await up.line(/ended and is started again .*reason="exit code 3"/);
    await up.line(/failed its liveness probe/);
    const failed = up.lines.length;
    await up.line(/pod app\/echo is ready/, failed);
    up.kill('SIGINT');
    t.equal(await up.exit, 0);
    t.strictSame(nothingIsLeft('t-restart'), []);
  },
);

test(
  'plumb up --check names file, line, object and field, and starts nothing',
  { skip: needsRoot },
  async (t) => {
    const directory = t.testdir({
      'a.yaml': base,
      'b.yaml':
        'apiVersion: v1\nkind: Service\nmetadata: { name: x, namespace: app }\nspec:\n  portz: []\n',
    });
    const up = new Up(t, 't-check', directory, ['--check']);
    t.equal(await up.exit, 2);
    t.match(up.lines.join('\n'), /b\.yaml:5: Service app\/x: spec\.portz/);
    t.strictSame(nothingIsLeft('t-check'), []);
    rmSync(`${directory}/b.yaml`);
    const good = new Up(t, 't-check', directory, ['--check']);
    t.equal(await good.exit, 0);
  },
);
