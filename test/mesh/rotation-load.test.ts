import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, createServer, createSecureContext, type SecureContext } from 'node:tls';
import { test, type Test } from 'tap';
import { ControlClient } from '#common/control/client.ts';
import { identityOf, type Identity } from '#common/identity.ts';
import type { Credentials } from '#common/tls/certificate.ts';
import { CertificateStore } from '../../node-agent/identity/certificate-store.ts';
import { issueCredentials } from '../../node-agent/identity/issue.ts';
import { TrustStore } from '../../node-agent/identity/trust-store.ts';
import { eventually, podOn, startRig, tokenOf } from '../helpers/control-rig.ts';
import { silent } from '../helpers/silent-log.ts';

/** A node agent without a data plane: its identity accepts and makes mutual TLS connections. */
class TestNode {
  readonly identity: Identity;
  readonly trust: TrustStore;
  readonly store: CertificateStore;
  readonly client: ControlClient;
  authority = '';
  context: SecureContext | undefined;
  port = 0;
  handshakes = 0;
  readonly authorities = new Set<string>();

  constructor(
    t: Test,
    {
      node,
      port,
      directory,
      lagMs,
    }: { node: string; port: number; directory: string; lagMs: number },
  ) {
    this.identity = identityOf('cluster.local', 'shop', node);
    this.trust = new TrustStore({
      stateDir: `${directory}/${node}`,
      controllerCa: `${directory}/first-root.pem`,
      log: silent,
    });
    this.store = new CertificateStore({
      issue: async (identity, signal) =>
        issueCredentials(
          {
            request: async (...asked) => {
              await delay(lagMs);
              return this.client.requestCertificate(...asked);
            },
            roots: () => this.trust.roots,
            now: Date.now,
          },
          identity,
          signal,
        ),
      apply: (credentials, roots) => this.#apply(credentials, roots),
      discard: () => (this.context = undefined),
      onLeaves: (leaves) => this.client.reportLeaves(leaves),
      keys: { load: () => [], save: async () => {}, remove: async () => {} },
      roots: () => this.trust.roots,
      log: silent,
      now: Date.now,
      sleep: async (ms, signal) =>
        new Promise((resolve) => {
          const timer = setTimeout(resolve, ms);
          signal.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve();
          });
        }),
      random: Math.random,
    });
    this.client = new ControlClient({
      url: `wss://127.0.0.1:${port}`,
      node,
      instance: node,
      version: 'test',
      token: async () => tokenOf(node),
      roots: async () => this.trust.controllerRoots(),
      resume: () => undefined,
      onUpdate: () => this.store.want(new Set([this.identity])),
      onTrust: async (trust) => {
        // Long enough that a step which does not wait for this node breaks something.
        await delay(lagMs);
        await this.trust.set(trust);
        await this.store.setTrust(trust);
      },
      log: silent,
      timing: { firstRetryMs: 20 },
    });
    t.after(async () => {
      this.store.stop();
      await this.client.stop();
    });
  }

  async listen(t: Test): Promise<void> {
    await this.client.start();
    await eventually(() => this.context !== undefined, 'the first certificate');
    const server = createServer({
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      // Every connection gets the context of the moment.
      SNICallback: (_name, give) => give(null, this.context),
    });
    server.on('secureConnection', (socket) => socket.end('x'));
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    this.port = address === null || typeof address === 'string' ? 0 : address.port;
  }

  /** One handshake; rejects if either end refuses the other. */
  async call(peer: TestNode): Promise<void> {
    const socket = connect({
      port: peer.port,
      host: '127.0.0.1',
      servername: 'any',
      secureContext: this.context,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    const ended = once(socket, 'end');
    // The server sends a byte once it has taken our certificate.
    const [byte] = await once(socket, 'data');
    if (String(byte) !== 'x') throw new Error('not the byte');
    await ended;
    socket.destroy();
    this.handshakes += 1;
  }

  #apply({ chainPem, keyPem, authority }: Credentials, roots: readonly string[]): void {
    this.context = createSecureContext({ cert: chainPem, key: keyPem, ca: [...roots] });
    this.authority = authority;
    this.authorities.add(authority);
  }
}

test('a root rotation under load fails no handshake, and ends with the new root alone', async (t) => {
  const nodes = ['a', 'b', 'c'];
  const rig = await startRig(t, { nodes, ca: { settleMs: 300 } });
  const pods = nodes.map((node) => podOn(node, node));
  rig.change({
    workloads: pods.flatMap((one) => one.workloads),
    pods: pods.flatMap((one) => one.pods),
  });
  // What an operator gives once, and does not renew.
  writeFileSync(`${rig.directory}/first-root.pem`, rig.ca.trust.roots.join(''));
  const { directory, port } = rig;
  const agents = nodes.map(
    (node) => new TestNode(t, { node, port, directory, lagMs: node === 'c' ? 500 : 0 }),
  );
  await Promise.all(agents.map(async (agent) => agent.listen(t)));

  const failures: unknown[] = [];
  const stop = new AbortController();
  const load = agents.flatMap((from) =>
    agents.map(async (to) => {
      while (!stop.signal.aborted) await from.call(to).catch((error) => failures.push(error));
    }),
  );
  const old = rig.ca.trust.authority;
  await rig.ca.rotate();
  await eventually(() => rig.ca.report().phase === 'distributing', 'begun');
  await eventually(() => rig.ca.report().phase === 'switched', 'switched', 10_000);
  // A controller connection that is lost in the middle, with only the first root in the file.
  for (const agent of rig.push.agents) agent.close(1012, 'test');
  await eventually(() => rig.ca.report().phase === 'stable', 'ended', 20_000);
  const before = agents.map(({ handshakes }) => handshakes);
  await eventually(
    () => agents.every(({ handshakes }, i) => handshakes > (before[i] ?? 0)),
    'more',
  );
  stop.abort();
  await Promise.all(load);

  t.strictSame(failures, []);
  const now = rig.ca.trust.authority;
  t.not(now, old);
  for (const agent of agents) {
    t.ok(agent.handshakes > 20, `${agent.handshakes} handshakes`);
    t.strictSame([...agent.authorities], [old, now]);
    t.equal(agent.trust.roots.length, 1);
  }
  t.equal(rig.ca.trust.roots.length, 1);
});
