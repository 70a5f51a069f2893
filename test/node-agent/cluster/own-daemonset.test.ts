/** How an agent tells its removal from its replacement, asked of a server that answers like Kubernetes. */
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { once } from 'node:events';
import { test } from 'tap';
import type { Test } from 'tap';
import { ApiServer } from '../../../node-agent/cluster/api-server.ts';
import { OwnDaemonSet } from '../../../node-agent/cluster/own-daemonset.ts';
import {
  ofDaemonSet,
  ofEvent,
  ofNamespace,
  together,
} from '../../../node-agent/cluster/verdict.ts';
import { eventually } from '../../helpers/control-rig.ts';
import { makeAuthority, makeLeaf, node } from '../../helpers/pki.ts';
import { silent } from '../../helpers/silent-log.ts';

const NAME = 'plumbline-node-agent';
const SPACE = 'plumbline-system';

function daemonSet(metadata: object = {}): object {
  return { kind: 'DaemonSet', metadata: { name: NAME, namespace: SPACE, ...metadata } };
}

function namespaceObject(phase = 'Active'): object {
  return { kind: 'Namespace', metadata: { name: SPACE }, status: { phase } };
}

function notFound(name = NAME): object {
  return { kind: 'Status', reason: 'NotFound', code: 404, details: { name } };
}

test('only a plain word about the own DaemonSet means that the agent leaves', async (t) => {
  const rows: readonly (readonly [string, number, unknown])[] = [
    ['staying', 200, daemonSet()],
    ['leaving', 200, daemonSet({ deletionTimestamp: '2026-01-01T00:00:00Z' })],
    ['leaving', 404, notFound()],
    ['unknown', 404, notFound('another')],
    ['unknown', 404, { message: 'a proxy without such a page' }],
    ['unknown', 404, undefined],
    ['unknown', 200, daemonSet({ name: 'another' })],
    ['unknown', 401, { kind: 'Status', reason: 'Unauthorized' }],
    ['unknown', 403, { kind: 'Status', reason: 'Forbidden' }],
    ['unknown', 500, daemonSet()],
  ];
  for (const [verdict, status, body] of rows) t.equal(ofDaemonSet(NAME, { status, body }), verdict);
  t.equal(ofNamespace(SPACE, { status: 200, body: namespaceObject() }), 'staying');
  t.equal(ofNamespace(SPACE, { status: 200, body: namespaceObject('Terminating') }), 'leaving');
  t.equal(ofNamespace(SPACE, { status: 404, body: notFound(SPACE) }), 'unknown');
  t.equal(together('staying', 'unknown'), 'staying');
  t.equal(together('staying', 'leaving'), 'leaving');
  t.equal(together('unknown', 'staying'), 'unknown');
});

test('ofEvent() reads what a watch says', async (t) => {
  const event = (type: string, object: unknown) => ofEvent(NAME, { type, object });
  t.match(event('MODIFIED', daemonSet()), { verdict: 'staying', isOver: false });
  t.match(event('MODIFIED', daemonSet({ deletionTimestamp: 'x' })), { verdict: 'leaving' });
  t.match(event('DELETED', daemonSet()), { verdict: 'leaving' });
  t.match(event('ADDED', daemonSet()), { verdict: 'staying' });
  t.match(event('BOOKMARK', { kind: 'DaemonSet' }), { verdict: 'unknown', isOver: false });
  t.match(event('ERROR', { kind: 'Status', code: 410 }), { verdict: 'unknown', isOver: true });
  t.match(ofEvent(NAME, undefined), { verdict: 'unknown', isOver: true });
});

/** A server over TLS whose answers a test sets; it keeps what it was asked. */
async function startServer(t: Test) {
  const directory = t.testdir();
  const root = makeAuthority();
  const { pem, keyPem } = makeLeaf(root, { names: [node(0x87, Buffer.from([127, 0, 0, 1]))] });
  writeFileSync(`${directory}/ca.crt`, root.pem);
  writeFileSync(`${directory}/token`, 'secret-1\n');
  const answers = new Map<string, readonly [number, object]>();
  const asked: { path: string; token: string }[] = [];
  const watches: ServerResponse[] = [];
  const server = createServer({ cert: pem, key: keyPem }, (request: IncomingMessage, response) => {
    const path = request.url ?? '';
    asked.push({ path, token: request.headers.authorization ?? '' });
    if (path.includes('watch=1')) {
      response.writeHead(200).flushHeaders();
      watches.push(response);
      return;
    }
    const [status, body] = answers.get(path) ?? [403, { kind: 'Status', reason: 'Forbidden' }];
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const api = new ApiServer({ host: '127.0.0.1', port: address.port, credentials: directory });
  const own = new OwnDaemonSet({ api, namespace: SPACE, name: NAME, log: silent, patienceMs: 600 });
  t.after(() => own.stop());
  const path = `/apis/apps/v1/namespaces/${SPACE}/daemonsets/${NAME}`;
  const around = `/api/v1/namespaces/${SPACE}`;
  return { directory, answers, asked, watches, own, path, around };
}

test('OwnDaemonSet asks with the token of the moment', async (t) => {
  const { directory, answers, asked, own, path, around } = await startServer(t);
  answers.set(path, [200, daemonSet()]).set(around, [200, namespaceObject()]);
  t.notOk(await own.isLeaving());
  t.match(asked, [{ token: 'Bearer secret-1' }, { token: 'Bearer secret-1' }]);
  writeFileSync(`${directory}/token`, 'secret-2');
  answers.set(around, [200, namespaceObject('Terminating')]);
  t.ok(await own.isLeaving());
  t.equal(asked.at(-1)?.token, 'Bearer secret-2');
  answers.set(path, [404, notFound()]).set(around, [403, {}]);
  t.ok(await own.isLeaving());
});

test('OwnDaemonSet remembers what the watch said when it may not ask any more', async (t) => {
  const { answers, asked, watches, own, path } = await startServer(t);
  answers.set(path, [200, daemonSet()]);
  own.start();
  await eventually(() => watches.length === 1, 'the watch');
  t.match(asked.at(-1)?.path, /daemonsets\?watch=1.*metadata\.name%3Dplumbline-node-agent/);
  answers.clear();
  t.notOk(await own.isLeaving(), 'nobody can say: another agent comes');
  const gone = JSON.stringify({ type: 'DELETED', object: daemonSet() });
  watches[0]?.write(gone.slice(0, 20));
  watches[0]?.write(`${gone.slice(20)}\n`);
  t.ok(await own.isLeaving());
  watches[0]?.write(`${JSON.stringify({ type: 'ADDED', object: daemonSet() })}\n`);
  await eventually(() => true, 'a moment');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.notOk(await own.isLeaving(), 'it was made anew');
});

test('OwnDaemonSet takes no answer for "another agent comes"', async (t) => {
  const api = new ApiServer({ host: '127.0.0.1', port: 1, credentials: '/nowhere' });
  const own = new OwnDaemonSet({ api, namespace: SPACE, name: NAME, log: silent, patienceMs: 100 });
  t.notOk(await own.isLeaving());
});
