/** Two controllers on a real API server: roots are replaced, each of them dies, and so does the server. */
import { test } from 'tap';
import { identityOf } from '#common/identity.ts';
import { makeRequest } from '#common/tls/csr.ts';
import { splitPem, verifyChain } from '#common/tls/trust.ts';
import { findPrograms } from '../helpers/api-server.ts';
import { eventually } from '../helpers/program.ts';
import {
  BUNDLE,
  condition,
  CONFIG_MAPS,
  gone,
  label,
  startControllers,
  until,
  WITHIN_MS,
  type Loose,
} from '../helpers/two-controllers.ts';

const cart = identityOf('cluster.local', 'shop', 'default');
const { signal } = new AbortController();
const programs = findPrograms();

test('failover', { skip: programs === undefined && 'no test bed' }, async (suite) => {
  const parts = await startControllers(suite, programs);
  const {
    server,
    api,
    follower,
    leader,
    holder,
    pick,
    roots,
    client,
    held,
    podUid,
    proof,
    captured,
  } = parts;
  await label(api, 'shop', { 'plumbline.dev/dataplane-mode': 'ambient' });
  proof('captured');
  await captured('True');

  await suite.test(
    'a root is replaced while the agent is with the replica that follows',
    async (t) => {
      const leading = await pick(true);
      const before = await roots();
      let leaves = 0;
      const renew = async (): Promise<void> => {
        const { csrPem } = makeRequest(cart);
        const { authority } = await client.requestCertificate(cart, csrPem, signal);
        leaves += 1;
        client.reportLeaves([{ identity: cart, authority, notAfterMs: Date.now() + 3_600_000 }]);
      };
      await renew();
      await leading.ask('/v1/ca/rotate', 'POST');
      await t.rejects(
        (await pick(false)).ask('/v1/ca/rotate', 'POST'),
        /"[ab]" leads; ask that one/,
      );
      await until(
        api,
        CONFIG_MAPS,
        BUNDLE,
        ({ data }) => splitPem(data['root-cert.pem']).length === 2,
      );
      const blocked = await eventually(
        'the leader waits for the agent of the other',
        async () => {
          const found = await leading.ask<Loose>('/v1/ca');
          if (found['phase'] !== 'switched') throw new Error(JSON.stringify(found['waitingFor']));
          if (found['waitingFor'][0]?.node !== 'n1') throw new Error('not yet');
          return found;
        },
        WITHIN_MS,
      );
      t.match(blocked['waitingFor'], [{ reason: /still uses 1 certificate/ }]);
      await renew();
      await until(
        api,
        CONFIG_MAPS,
        BUNDLE,
        ({ data }) =>
          data['root-cert.pem'] !== before.join('') && splitPem(data['root-cert.pem']).length === 1,
      );
      t.equal(leaves, 2);
    },
  );

  await suite.test('killing the replica with the agents loses nothing', async (t) => {
    const { epoch } = held;
    const updates = held.updates.length;
    const killedMs = performance.now();
    await follower.end('SIGKILL');
    await eventually('the agent is with the other', async () => {
      if (held.epoch === epoch || client.state.state !== 'connected') throw new Error('not yet');
    });
    t.comment(`the agent moved in ${Math.round(performance.now() - killedMs)} ms`);
    t.equal(held.updates[updates]?.snapshot, true, 'with a snapshot');
    t.ok(held.workloads.size > 0);
    const { csrPem } = makeRequest(cart);
    const { chain } = await client.requestCertificate(cart, csrPem, signal);
    t.ok(verifyChain(chain, await roots(), Date.now()), 'under the same root');
    const board = await leader.ask<Loose[]>('/v1/proof');
    t.match(board, [
      { podUid, outcome: 'captured' },
      { podUid, outcome: 'captured' },
    ]);
    follower.lines.length = 0;
    follower.start();
    await follower.ready();
  });

  await suite.test('killing the leader makes the other lead, and agents move over', async (t) => {
    const leading = await pick(true);
    const other = await pick(false);
    const killedMs = performance.now();
    await leading.end('SIGKILL');
    await eventually('the agent is with the other', async () => {
      const agents = await other.ask<Loose[]>('/v1/agents');
      if (agents.length !== 1) throw new Error('not yet');
    });
    t.comment(`the agent moved in ${Math.round(performance.now() - killedMs)} ms`);
    await eventually(
      'the other leads',
      async () => {
        if ((await holder()) !== other.name) throw new Error(await holder());
      },
      WITHIN_MS,
    );
    t.comment(`another leads after ${Math.round(performance.now() - killedMs)} ms`);
    await api.delete(CONFIG_MAPS, BUNDLE);
    await until(api, CONFIG_MAPS, BUNDLE, () => true);
    leading.lines.length = 0;
    leading.start();
    await leading.ready();
  });

  await suite.test('a leader that stops in order hands over at once', async (t) => {
    const leading = await pick(true);
    const other = await pick(false);
    const stoppedMs = performance.now();
    await leading.end('SIGTERM');
    await eventually('the other leads', async () => {
      if ((await holder()) !== other.name) throw new Error(await holder());
    });
    t.comment(`another leads after ${Math.round(performance.now() - stoppedMs)} ms`);
    leading.lines.length = 0;
    leading.start();
    await leading.ready();
  });

  await suite.test('a leader that stood still does not lead when it goes on', async (t) => {
    const leading = await pick(true);
    const other = await pick(false);
    process.kill(leading.pid, 'SIGSTOP');
    await eventually(
      'the other leads',
      async () => {
        if ((await holder()) !== other.name) throw new Error(await holder());
      },
      WITHIN_MS,
    );
    process.kill(leading.pid, 'SIGCONT');
    await t.rejects(leading.ask('/v1/ca/rotate', 'POST'), /409/, 'at once');
    await eventually('it knows who leads', async () => {
      const refused = await leading.ask('/v1/ca/rotate', 'POST').catch(String);
      if (!String(refused).includes(`"${other.name}" leads`)) throw new Error(String(refused));
    });
  });

  await suite.test('nothing is lost while the API server is away', async (t) => {
    await server.stop();
    const before = held.version;
    proof('not-captured', 'while nobody listens');
    const { csrPem } = makeRequest(cart);
    const issued = await client.requestCertificate(cart, csrPem, signal);
    t.ok(issued.chain, 'certificates are signed');
    t.ok(held.version >= before && client.state.state === 'connected', 'agents stay');
    await server.start();
    const found = await captured('False');
    t.match(condition(found, 'plumbline.dev/Captured'), { message: /while nobody listens/ });
    await label(api, 'shop', { 'plumbline.dev/dataplane-mode': null });
    await gone(api, CONFIG_MAPS, { ...BUNDLE, namespace: 'shop' });
    await captured(undefined);
  });
});
