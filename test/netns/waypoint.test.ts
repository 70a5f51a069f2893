/** A waypoint as a program, in a namespace of its own between its clients and its endpoints. */
import { writeFileSync } from 'node:fs';
import { test } from 'tap';
import { createNet, needsRoot as skip } from '../helpers/netns.ts';
import { getText, parseSeries, sumOf } from '../helpers/pod-http.ts';
import { eventually, Program } from '../helpers/program.ts';

const ECHO = `
  const http = require('node:http');
  http.createServer((request, response) => {
    const body = JSON.stringify({ url: request.url, headers: request.headers });
    setTimeout(() => response.end(body), request.url === '/slow' ? 1500 : 0);
  }).listen(8080, '::');
`;

const MAIN = ['waypoint/main.ts', '--listen', '[::]:80', '--workers', '2', '--drain', '10s'];

test(
  'a waypoint serves its clients, over both families, and ends without losing one',
  { skip },
  async (t) => {
    const net = createNet(t, 'wayp', 2);
    const app = net.node(2).pod('app');
    const pod = net.node(1).pod('waypoint');
    const client = net.node(1).pod('client');
    app.spawn(process.execPath, ['-e', ECHO], { stdio: 'ignore' });
    const routes = `${t.testdir()}/routes.json`;
    const rule = (address: string | undefined, more: object): object => ({
      ...more,
      backends: [{ address, port: 8080 }],
    });
    const first = [rule(app.address4, { prefix: '/four' }), rule(app.address6, { prefix: '/six' })];
    writeFileSync(routes, JSON.stringify(first));
    const waypoint = new Program(pod, '', [...MAIN, '--routes', routes]);
    waypoint.start();
    const ask = async (path: string, address = pod.address4 ?? '', port = 80): Promise<string> =>
      getText(client.fd, { address, port }, path);

    await eventually('a request', async () => ask('/four'));
    const ready = await eventually('it is ready', async () =>
      ask('/healthz/ready', pod.address4, 15_020),
    );
    t.equal(ready, 'ready\n');
    for (const [path, address] of [
      ['/four', pod.address4],
      ['/six', pod.address6],
    ] as const) {
      const from =
        address?.includes(':') === true ? `for="[${client.address6}]:` : `for="${client.address4}:`;
      const seen = await ask(path, address);
      t.ok(seen.includes(JSON.stringify(from).slice(1, -1)), `${path}: ${seen}`);
    }
    await t.rejects(ask('/none'), /answered 404/);

    // New routes while requests are under way; bad ones change nothing.
    writeFileSync(routes, 'no JSON');
    process.kill(waypoint.pid, 'SIGHUP');
    await eventually('the refusal', async () => {
      if (!waypoint.lines.some(({ message }) => message === 'routes not taken'))
        throw new Error('not yet');
    });
    await ask('/four');
    writeFileSync(routes, JSON.stringify([rule(app.address4, {})]));
    process.kill(waypoint.pid, 'SIGHUP');
    await eventually('the new routes', async () => ask('/none'));

    const series = parseSeries(await ask('/metrics', pod.address4, 15_020));
    t.ok(sumOf(series, 'plumbline_http_responses_total', { class: '2xx' }) >= 4);
    t.ok(sumOf(series, 'plumbline_http_responses_total', { class: '4xx' }) >= 1);

    const slow = ask('/slow');
    await eventually('the request under way', async () => {
      const open = parseSeries(await ask('/metrics', pod.address4, 15_020));
      if (sumOf(open, 'plumbline_http_connections_open') === 0) throw new Error('not yet');
    });
    process.kill(waypoint.pid, 'SIGTERM');
    t.match(await slow, '/slow', 'what was under way ends well');
    t.equal(await waypoint.exit(), 0);
    await t.rejects(ask('/four'), /ECONNREFUSED/);
  },
);

test(
  'a waypoint with links is ready when it has them, and its names belong to its pod',
  { skip },
  async (t) => {
    const net = createNet(t, 'wayl', 1);
    const pod = net.node(1).pod('waypoint');
    const other = net.node(1).pod('other');
    const routes = `${t.testdir()}/routes.json`;
    writeFileSync(routes, '[]');
    const waypoint = new Program(pod, '', [
      'waypoint/main.ts',
      '--link',
      'plumbline',
      '--routes',
      routes,
    ]);
    waypoint.start();
    const to = { address: pod.address4 ?? '', port: 15_020 };
    await eventually('the answer that it is not ready', async () => {
      const found = await getText(other.fd, to, '/healthz/ready').catch(String);
      if (!found.includes('answered 503')) throw new Error(found);
    });
    const dial = `require('node:net').connect('\\0plumbline/in/0').on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
    t.equal(pod.succeeds(`${process.execPath} -e "${dial}"`), true);
    t.equal(other.succeeds(`${process.execPath} -e "${dial}"`), false);
  },
);

test('a waypoint says at once what is wrong with its flags', { skip }, async (t) => {
  const pod = createNet(t, 'wayf', 1).node(1).pod('waypoint');
  const waypoint = new Program(pod, '', [...MAIN, '--routes', '/nowhere/routes.json']);
  waypoint.start();
  t.equal(await waypoint.exit(), 64);
});
