/**
 * DNS of captured pods, where they ask for it: the mesh's own names are answered here, everything
 * else goes to the resolvers unchanged and comes back unchanged.
 *
 * Names of the mesh need no resolver, so they are answered while all of those are dead. Questions on
 * their way are bounded for each pod; beyond that the answer is SERVFAIL at once, not silence.
 */
import type { Watcher } from '#common/engine/loop.ts';
import { TcpSocket } from '#common/engine/tcp.ts';
import type { Timer } from '#common/engine/timers.ts';
import { recvFrom, sendTo } from '#common/sys/libc.ts';
import { newSlab } from '#common/sys/slab.ts';
import { answerOf } from './dns-answer.ts';
import { readQuestion, writeAnswer, writeFailure } from './dns-message.ts';
import { TcpQuestion, UdpQuestion } from './dns-upstream.ts';
import type { UpstreamDeps } from './dns-upstream.ts';
import type { Pod } from './pod.ts';
import type { Shared } from './shared.ts';

const LONGEST_MESSAGE = 65_535;
const DATAGRAMS_PER_EVENT = 64;
/** Questions of one pod on their way to resolvers. */
const MOST_ASKED = 1_024;
/** Connections of one pod over which it asks, and questions of one of them at a time. */
const MOST_CONNECTIONS = 256;
const MOST_PIPELINED = 16;
const TCP_IDLE_MS = 10_000;

const slab = newSlab(LONGEST_MESSAGE + 2);

interface Served {
  readonly fds: Set<number>;
  readonly connections: Set<TcpSocket>;
  asked: number;
}

type Question = typeof UdpQuestion | typeof TcpQuestion;

export class DnsService {
  readonly #shared: Shared;
  readonly #served = new Map<string, Served>();

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** Serves a pod's questions over UDP. */
  listen(pod: Pod, fd: number): void {
    const { fds } = this.#of(pod);
    if (fds.has(fd)) return;
    fds.add(fd);
    const watcher: Watcher = { onEvents: () => this.#receive(pod, fd) };
    this.#shared.loop.addListener(fd, watcher);
  }

  /** Serves one connection of a pod. */
  accept(pod: Pod, fd: number): void {
    const served = this.#of(pod);
    let received: Buffer = Buffer.alloc(0);
    let pending = 0;
    const { loop } = this.#shared;
    const read = (): void => {
      for (;;) {
        const next = received.length < 2 ? -1 : received.readUInt16BE(0);
        if (next >= 0 && received.length >= 2 + next) {
          if (pending >= MOST_PIPELINED) return;
          const query = Buffer.from(received.subarray(2, 2 + next));
          received = received.subarray(2 + next);
          pending += 1;
          this.#ask(pod, query, { by: TcpQuestion, most: LONGEST_MESSAGE }, answer);
          continue;
        }
        const n = socket.recvInto(slab, 0, LONGEST_MESSAGE + 2);
        if (n === 0 && pending === 0) socket.destroy(false);
        if (n <= 0) return;
        received = Buffer.concat([received, slab.bytes.subarray(0, n)]);
      }
    };
    const answer = (message: Uint8Array | undefined): void => {
      pending -= 1;
      if (socket.closed) return;
      if (message !== undefined) {
        const framed = Buffer.allocUnsafeSlow(2 + message.length);
        framed.writeUInt16BE(message.length);
        framed.set(message, 2);
        socket.write(framed, 0, framed.length);
      }
      loop.timers.rearm(idle, TCP_IDLE_MS);
      if (socket.readEnded && pending === 0) socket.endWrite();
      else loop.soon({ run: read });
    };
    const socket: TcpSocket = new TcpSocket(loop, fd, {
      onReadable: read,
      onWritable: () => undefined,
      onClosed: () => {
        loop.timers.cancel(idle);
        served.connections.delete(socket);
      },
    });
    const idle: Timer = loop.timers.after(TCP_IDLE_MS, { run: () => socket.destroy(true) });
    served.connections.add(socket);
    if (served.connections.size > MOST_CONNECTIONS) socket.destroy(true);
  }

  /** Stops reading at some of the listeners, of whichever pods; they stay open. */
  release(released: ReadonlySet<number>): void {
    for (const { fds } of this.#served.values()) {
      for (const fd of fds) if (released.has(fd) && fds.delete(fd)) this.#shared.loop.remove(fd);
    }
  }

  /** Stops serving a pod; its listeners stay open for whoever holds them too. */
  leave(podUid: string): void {
    const served = this.#served.get(podUid);
    if (served === undefined) return;
    this.#served.delete(podUid);
    for (const fd of served.fds) this.#shared.loop.remove(fd);
    for (const socket of Array.from(served.connections)) socket.destroy(false);
  }

  #of(pod: Pod): Served {
    const known = this.#served.get(pod.plan.podUid);
    if (known !== undefined) return known;
    const made: Served = { fds: new Set(), connections: new Set(), asked: 0 };
    this.#served.set(pod.plan.podUid, made);
    return made;
  }

  #receive(pod: Pod, fd: number): void {
    for (let i = 0; i < DATAGRAMS_PER_EVENT; i += 1) {
      const { length, from } = recvFrom(fd, slab);
      if (length < 0 || from === undefined) return;
      const query = Buffer.from(slab.bytes.subarray(0, length));
      const reply = (answer: Uint8Array | undefined): void => {
        if (answer === undefined || !this.#served.has(pod.plan.podUid)) return;
        slab.bytes.set(answer);
        sendTo(fd, slab, answer.length, from);
      };
      this.#ask(pod, query, { by: UdpQuestion, most: 0 }, reply);
    }
  }

  /** Answers, or has it answered; `most` is how long an answer may be, 0 for what the asker says. */
  #ask(
    pod: Pod,
    query: Buffer,
    how: { readonly by: Question; readonly most: number },
    reply: (answer: Uint8Array | undefined) => void,
  ): void {
    const { table, view, loop } = this.#shared;
    table.count('dnsQueries');
    const { dns } = pod.plan.options;
    const question = readQuestion(query);
    const workload = pod.workload();
    if (question !== undefined && workload !== undefined && dns !== undefined) {
      const asker = { namespace: workload.namespace, clusterDomain: dns.clusterDomain };
      const answer = answerOf(view, asker, question, Math.random);
      if (answer !== undefined) {
        const mostBytes = how.most === 0 ? question.udpBytes : how.most;
        reply(writeAnswer(query, question, { ...answer, mostBytes }));
        return;
      }
    }
    const fail = (): void => {
      table.count('dnsFailed');
      reply(question === undefined ? undefined : writeFailure(query, question));
    };
    const served = this.#of(pod);
    if (dns === undefined || query.length < 2 || served.asked >= MOST_ASKED) {
      fail();
      return;
    }
    served.asked += 1;
    table.count('dnsForwarded');
    const deps: UpstreamDeps = {
      loop,
      netns: pod.plan.netns,
      resolvers: dns.resolvers,
      query,
      done: (answer) => {
        served.asked -= 1;
        if (answer === undefined) fail();
        else reply(answer);
      },
    };
    // oxlint-disable-next-line no-new -- it ends by calling `done`
    new how.by(deps);
  }
}
