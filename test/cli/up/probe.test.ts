/** Probes: counted against thresholds, and made on real sockets. */
import { once } from 'node:events';
import { openSync, closeSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { test } from 'tap';
import type { Probe } from '../../../common/control/desired.ts';
import { ProbeCount, probeOnce, runProbe } from '../../../cli/up/probe.ts';

interface Test {
  after(undo: () => void): void;
}

/** This process's own namespace stands for the node's: entering it needs no privilege to be absent. */
async function setUp(t: Test, server: Server) {
  const netns = openSync('/proc/self/ns/net', 'r');
  t.after(() => closeSync(netns));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a TCP server has such an address
  const { port } = server.address() as AddressInfo;
  return { target: { netns, address: '127.0.0.1' }, port };
}

function probe(check: Probe['check']): Probe {
  return {
    check,
    initialDelaySeconds: 0,
    periodSeconds: 1,
    timeoutSeconds: 1,
    successThreshold: 1,
    failureThreshold: 1,
  };
}

const needsRoot = process.getuid?.() === 0 ? false : 'needs root to enter a network namespace';
const never = new AbortController().signal;

test('record() changes its mind only after as many results in a row as the threshold says', async (t) => {
  const count = new ProbeCount({ successThreshold: 2, failureThreshold: 3 }, false);
  const told = [true, false, true, true, false, false, true, false, false, false].map((ok) =>
    count.record(ok),
  );
  t.strictSame(told, [false, false, false, true, true, true, true, true, true, false]);
});

test(
  'probeOnce() asks over HTTP with path and headers, and takes 200 to 399',
  { skip: needsRoot },
  async (t) => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(`${request.url} ${String(request.headers['x-probe'])}`);
      response.statusCode = request.url === '/moved' ? 302 : 500;
      response.end('body');
    });
    const { target, port } = await setUp(t, server);
    const headers = [{ name: 'X-Probe', value: 'yes' }];
    const ask = async (path: string) =>
      probeOnce(probe({ kind: 'http', path, port, headers }), target, never);
    t.equal(await ask('/moved'), undefined);
    t.equal(await ask('/broken'), 'status 500');
    t.strictSame(asked, ['/moved yes', '/broken yes']);
  },
);

test(
  'probeOnce() gives up on a server that does not answer in time',
  { skip: needsRoot },
  async (t) => {
    const server = createTcpServer(() => {});
    const { target, port } = await setUp(t, server);
    const began = performance.now();
    const wrong = await probeOnce(
      probe({ kind: 'http', path: '/', port, headers: [] }),
      target,
      never,
    );
    t.match(wrong, /timeout|aborted/i);
    t.ok(performance.now() - began < 3000);
  },
);

test('probeOnce() tells an open port from a closed one', { skip: needsRoot }, async (t) => {
  const server = createTcpServer((socket) => socket.destroy());
  const { target, port } = await setUp(t, server);
  t.equal(await probeOnce(probe({ kind: 'tcp', port }), target, never), undefined);
  server.close();
  await once(server, 'close');
  t.match(await probeOnce(probe({ kind: 'tcp', port }), target, never), /ECONNREFUSED/);
});

test(
  'runProbe() tells each change once and ends with its signal',
  { skip: needsRoot },
  async (t) => {
    const server = createTcpServer((socket) => socket.destroy());
    const { target, port } = await setUp(t, server);
    const ended = new AbortController();
    const told: boolean[] = [];
    await runProbe({
      probe: probe({ kind: 'tcp', port }),
      target,
      passing: false,
      signal: ended.signal,
      onChange: (passing) => {
        told.push(passing);
        if (passing) server.close();
        else ended.abort();
      },
    });
    t.strictSame(told, [true, false]);
  },
);
