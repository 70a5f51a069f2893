/** Damage done to a captured pod is noticed, repaired and proven; faults R4, R5, R28, S9. */
import { test, type Test } from 'tap';
import { type Flavour, findPrograms } from '../../node-agent/capture/backend.ts';
import { CaptureSet, PROVE_EVERY_MS } from '../../node-agent/capture/capture-set.ts';
import { createCommand } from '../../node-agent/capture/command.ts';
import type { PodCaptureState } from '../../node-agent/capture/pod-capture.ts';
import { type ProbeToken, Prover } from '../../node-agent/capture/proof.ts';
import { PLAIN } from '../helpers/capture-golden.ts';
import { createNet, needsRoot as skip, type PodNetns } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { RelayAgent } from '../helpers/relay-agent.ts';
import { silent } from '../helpers/silent-log.ts';
import { SLACK } from '../helpers/slack.ts';

const command = createCommand();

async function setUp(t: Test, flavour: Flavour, run = command) {
  const all = await findPrograms(command);
  const programs = new Map([...all].filter(([name]) => name === flavour));
  const net = createNet(t, 'cap');
  const agent = new RelayAgent();
  const { expect, forget } = agent;
  t.after(() => agent.stop());
  const node = net.node(1);
  const prover = new Prover({ expect, forget, nodeNetns: node.fd, timeoutMs: 1000 });
  agent.prover = prover;
  const waiting = new Set<() => void>();
  const set = new CaptureSet({
    command: run,
    programs,
    log: silent,
    prover,
    onState: () => waiting.forEach((look) => look()),
    onDrift: () => waiting.forEach((look) => look()),
  });
  t.after(() => set.stop());
  const enrol = async (pod: PodNetns, options = PLAIN): Promise<void> => {
    const { name, fd: netns, addresses } = pod;
    await set.enrol(
      { podUid: name, namespace: 'shop', name, netns, addresses, options },
      async () => agent.listen(name, netns),
    );
  };
  /** Resolves when the state of a pod is as asked. */
  const until = async (
    pod: PodNetns,
    holds: (state: PodCaptureState) => boolean,
    limitMs = 20_000,
  ): Promise<void> => {
    const reached = Promise.withResolvers<void>();
    const look = (): void => {
      const state = set.state(pod.name);
      if (state !== undefined && holds(state)) reached.resolve();
    };
    waiting.add(look);
    look();
    // The set's own timers let a process end that waits for nothing else.
    const limit = setTimeout(() => reached.reject(new Error('it never came')), limitMs);
    await reached.promise.finally(() => clearTimeout(limit));
    waiting.delete(look);
  };
  return { net, node, agent, set, enrol, until };
}

const REPAIR_LIMIT_MS = 2000;
const CONTESTED = /^rules are changed by somebody else: \d+ repairs in the last 30 s$/;

const damages = (ipt: string): readonly [string, string][] => [
  ['nat flushed', `${ipt} -t nat -F`],
  ['everything flushed', `for t in mangle nat filter; do ${ipt} -t $t -F; done`],
  ['chains deleted', `${ipt} -t nat -F; ${ipt} -t nat -X`],
  ['a rule deleted', `${ipt} -t nat -D PLUMB_OUTPUT 4`],
  ['rules in another order', `${ipt} -t nat -I PLUMB_OUTPUT 2 -p tcp -j RETURN`],
  ['a foreign chain first', `${ipt} -t nat -N X; ${ipt} -t nat -I OUTPUT -p tcp -j X`],
  ['the fence gone', `${ipt} -F OUTPUT`],
  ['a mark not set', `${ipt} -t mangle -F PLUMB_INPUT`],
  ['an odd second jump', `${ipt} -t nat -A OUTPUT -p tcp --dport 9 -j PLUMB_OUTPUT`],
];

for (const flavour of ['nft', 'legacy'] as const) {
  test(
    `CaptureSet repairs within two seconds (${flavour})`,
    { skip, timeout: 90_000 },
    async (t) => {
      const { node, agent, set, enrol, until } = await setUp(t, flavour);
      const pod = node.pod('pod');
      await enrol(pod);
      await until(pod, ({ proven }) => proven === true);
      set.start();
      const all: readonly [string, string][] = [
        ...damages(`iptables-${flavour}`),
        ...damages(`ip6tables-${flavour}`),
        ['the routing rule gone', 'ip rule del priority 32764'],
        ['the IPv6 routing rule gone', 'ip -6 rule del priority 32764'],
        ['the route gone', 'ip route flush table 100'],
        ['the IPv6 route gone', 'ip -6 route flush table 100'],
        ['tracking set loose', 'sysctl -qw net.netfilter.nf_conntrack_tcp_loose=1'],
      ];
      let ended = 0;
      for (const [what, how] of all) {
        const repairs = set.state(pod.name)?.repairs ?? 0;
        pod.exec(how);
        const start = performance.now();
        await until(pod, (state) => state.repairs > repairs);
        const ms = performance.now() - start;
        t.ok(ms <= SLACK * REPAIR_LIMIT_MS, `${what}: ${Math.round(ms)} ms`);
        ended = Date.now();
      }
      // So many repairs mean that somebody works against us, whatever a probe shows in between.
      await until(pod, ({ at }) => at > ended);
      t.match(set.state(pod.name), { phase: 'captured', proven: false, reason: CONTESTED });
      t.equal(set.proven, 0);
      // Once is enough to see that time heals it.
      if (flavour === 'nft') await until(pod, ({ proven }) => proven === true, 45_000);
      t.equal(set.counters.repairFailures, 0);
      t.equal(agent.carried.length, 0, 'no probe was taken for traffic');
    },
  );

  test(`nothing passes in clear while nat is flushed (${flavour})`, { skip }, async (t) => {
    const { net, node, agent, set, enrol, until } = await setUp(t, flavour);
    const client = node.pod('client');
    const server = net.node(2).pod('server');
    const app = await greeter(t, server.fd, 8080);
    await enrol(client);
    set.start();
    const over = new AbortController();
    let refused = 0;
    const load = server.addresses.map(async (address) => {
      while (!over.signal.aborted) {
        await greet(client.fd, address, 8080).catch(() => (refused += 1));
      }
    });
    for (let i = 1; i <= 3; i += 1) {
      client.exec(`iptables-${flavour} -t nat -F; ip6tables-${flavour} -t nat -F`);
      await until(client, ({ repairs }) => repairs >= i);
    }
    over.abort();
    await Promise.all(load);
    t.ok(refused > 0, 'the fence was needed');
    t.ok(agent.carried.length > 0);
    t.equal(app.clients.length, agent.carried.length, 'every connection came through the agent');
  });
}

test('damage done while a pod is enrolled is repaired as any other', { skip }, async (t) => {
  let pod: PodNetns | undefined;
  let isLoaded = false;
  const { node, set, enrol, until } = await setUp(t, 'nft', async (run) => {
    const answer = await command(run);
    if (run.input !== undefined) isLoaded = true;
    // The rules have been read back as they should be; only then somebody takes them away.
    else if (isLoaded && run.program === 'iptables-nft-save') pod?.exec('iptables -t nat -F');
    return answer;
  });
  const captured = node.pod('pod');
  pod = captured;
  await enrol(captured);
  pod = undefined;
  set.start();
  const start = performance.now();
  await until(captured, ({ repairs }) => repairs > 0);
  const ms = performance.now() - start;
  t.ok(ms <= SLACK * REPAIR_LIMIT_MS, `${Math.round(ms)} ms`);
});

test('the proof tells captured pods from others', { skip }, async (t) => {
  const { net, node, agent, set, enrol, until } = await setUp(t, 'nft');
  const pod = node.pod('pod');
  const only4 = node.pod('only4', { families: [4] });
  await enrol(pod);
  await enrol(only4);
  await until(pod, ({ proven }) => proven === true);
  await until(only4, ({ proven }) => proven === true);
  t.strictSame(
    set
      .state(only4.name)
      ?.results.map(({ direction, family, outcome }) => [direction, family, outcome]),
    [
      ['outbound', 4, 'captured'],
      ['outbound', 6, 'not-applicable'],
      ['inbound', 4, 'captured'],
      ['inbound', 6, 'not-applicable'],
    ],
  );
  t.equal(set.proven, 2);
  t.strictSame(agent.carried, []);
  // Not enrolled, so nothing may be proven of it: v4 outward is lost, inward nobody listens.
  const bare = net.node(1).pod('bare');
  const { expect, forget } = agent;
  const prover = new Prover({ expect, forget, nodeNetns: node.fd, timeoutMs: 1000 });
  const { fd: netns, addresses } = bare;
  const results = await prover.probe({ podUid: 'bare', netns, addresses, options: PLAIN });
  t.strictSame(
    results.map(({ outcome }) => outcome),
    ['not-captured', 'not-captured', 'not-captured', 'not-captured'],
  );
  t.match(results[3], { direction: 'inbound', family: 6, reason: /refused/ });
});

test('the proof says so when the agent has stopped listening', { skip }, async (t) => {
  const { node, agent, set, enrol, until } = await setUp(t, 'nft');
  const pod = node.pod('pod');
  await enrol(pod);
  await until(pod, ({ proven }) => proven === true);
  agent.stopListening(pod.name);
  await set.update({
    podUid: pod.name,
    namespace: 'shop',
    name: pod.name,
    netns: pod.fd,
    addresses: pod.addresses,
    options: PLAIN,
  });
  set.start();
  // A repair has the pod probed at once; from then on it is probed again and again.
  pod.exec('iptables -t nat -F');
  await until(pod, ({ proven }) => proven === false);
  t.match(set.state(pod.name)?.reason, /outbound IPv4: it was refused/);
  t.equal(set.proven, 0);
  await agent.listen(pod.name, pod.fd);
  const start = performance.now();
  await until(pod, ({ proven }) => proven === true);
  const ms = performance.now() - start;
  t.ok(ms < PROVE_EVERY_MS / 3, `proven again after ${Math.round(ms)} ms, without any damage`);
});

test("a probe is nobody else's connection", { skip }, async (t) => {
  const { node, agent } = await setUp(t, 'nft');
  const pod = node.pod('pod');
  const tokens: ProbeToken[] = [];
  const begun = Promise.withResolvers<void>();
  const prover = new Prover({
    expect: async (token) => {
      // The fourth is the last; when the loop has turned, its connection has been begun.
      if (tokens.push(token) === 4) setImmediate(begun.resolve);
    },
    forget: () => {},
    nodeNetns: node.fd,
    timeoutMs: 300,
  });
  const { fd: netns, addresses } = pod;
  const probing = prover.probe({ podUid: 'pod', netns, addresses, options: PLAIN });
  await begun.promise;
  // Somebody who guessed every token still lacks the port from which the probe comes.
  t.equal(tokens.length, 4);
  for (const token of tokens) {
    for (const direction of ['outbound', 'inbound'] as const) {
      t.notOk(prover.arrived({ ...token, direction, sourcePort: 1 }));
    }
  }
  const outcomes = (await probing).map(({ outcome }) => outcome);
  t.notOk(outcomes.includes('captured'));
  t.strictSame(agent.carried, []);
});

test('enrolment and release under load lose next to nothing', { skip }, async (t) => {
  const { net, node, agent, set, enrol } = await setUp(t, 'nft');
  const client = node.pod('client');
  const server = net.node(2).pod('server');
  await greeter(t, server.fd, 8080);
  const over = new AbortController();
  let good = 0;
  const bad: unknown[] = [];
  const load = server.addresses.map(async (address) => {
    while (!over.signal.aborted) {
      await greet(client.fd, address, 8080).then(
        () => (good += 1),
        (error: unknown) => bad.push(error),
      );
    }
  });
  const rounds = Number(process.env['PLUMB_ENROL_ROUNDS'] ?? 10);
  for (let i = 0; i < rounds; i += 1) {
    await enrol(i % 2 === 0 ? client : server);
    await set.release(i % 2 === 0 ? client.name : server.name, async () => {
      agent.stopListening(i % 2 === 0 ? client.name : server.name);
    });
  }
  over.abort();
  await Promise.all(load);
  t.ok(good > 50);
  t.ok(agent.carried.length > 0);
  t.comment(`${good} good, ${bad.length} bad, ${agent.carried.length} captured, ${rounds} rounds`);
  t.ok(bad.length <= Math.max(1, good / 1000), bad.map(String).join('; '));
});

test('CaptureSet takes nothing in hand when the pod has ended', { skip }, async (t) => {
  const { node, set, enrol, until } = await setUp(t, 'nft');
  const pod = node.pod('pod');
  await enrol(pod);
  await until(pod, ({ proven }) => proven === true);
  const draining = Promise.withResolvers<void>();
  let isDrained = false;
  const released = set.release(pod.name, async () => {
    await draining.promise;
    isDrained = true;
  });
  set.forget(pod.name);
  pod.remove();
  draining.resolve();
  await released;
  t.ok(isDrained, 'what the agent has of it was drained all the same');
  t.equal(set.state(pod.name), undefined);
  t.equal(set.counters.releases, 0);
});
