/**
 * The tour's hands and eyes: calls from any pod, the agents' answers, metrics and access logs.
 *
 * Calls are made on sockets in the pod's own network namespace, so the mesh cannot tell them from the
 * pod's, and what is measured is what a program in that pod would meet.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#common/errors.ts';
import { at } from '../../text.ts';
import { connected, dial, httpGet } from '../dial.ts';
import type { HttpAnswer } from '../dial.ts';
import { resolveHost } from '../hosts.ts';
import type { LocalMesh } from '../local-mesh.ts';
import type { LocalNode } from '../node.ts';
import type { RunningPod } from '../pod.ts';
import { AccessLines } from './access-lines.ts';
import type { AccessLine } from './access-lines.ts';
import { parseMetrics } from './metrics-text.ts';
import type { Sample } from './metrics-text.ts';

const CALL_MS = 5000;
const METRICS_PORT = 15_020;
const LOOK_EVERY_MS = 50;

export interface Call {
  /** `namespace/name` of a pod, or of a Deployment whose first pod is meant. */
  readonly from: string;
  /** As a program in that pod would name it. */
  readonly host: string;
  readonly port: number;
  readonly path?: string;
  readonly family?: 4 | 6;
  /** Goes along in a header; the shop's programs repeat it in their answers. */
  readonly marker?: string;
}

export class Guide {
  readonly mesh: LocalMesh;
  readonly #ending: AbortSignal;
  readonly #logs = new Map<string, AccessLines>();

  constructor(mesh: LocalMesh, ending: AbortSignal) {
    this.mesh = mesh;
    this.#ending = ending;
    for (const { space, logPath } of mesh.nodes) {
      this.#logs.set(space.name, new AccessLines(logPath));
    }
  }

  pod(name: string): RunningPod {
    const found = this.mesh.pods.find(({ desired, runtime }) => {
      const own = `${desired.namespace}/${desired.name}`;
      return (own === name || own.startsWith(`${name}-`)) && !runtime.terminating;
    });
    if (found === undefined) throw missing(`a pod "${name}"`);
    return found;
  }

  nodeOf(pod: RunningPod): LocalNode {
    const found = this.mesh.nodes.find(({ space }) => space.name === pod.desired.node);
    if (found === undefined) throw missing(`a node "${pod.desired.node}"`);
    return found;
  }

  /** Makes one HTTP call on a connection of its own. */
  async get(call: Call): Promise<HttpAnswer> {
    return httpGet({
      netns: this.pod(call.from).place.space.fd,
      address: this.#resolve(call),
      port: call.port,
      path: call.path ?? '/',
      headers: { host: call.host, 'x-marker': call.marker ?? '' },
      signal: this.#limit(CALL_MS),
    });
  }

  /** Connects, says nothing, and returns the first line that the other side says. */
  async listen(call: Call): Promise<string> {
    const signal = this.#limit(CALL_MS);
    const socket = dial(this.pod(call.from).place.space.fd, this.#resolve(call), call.port);
    const said = Promise.withResolvers<string>();
    let text = '';
    socket.on('data', (bytes) => {
      text += bytes.toString('utf8');
      if (text.includes('\n')) said.resolve(text.split(/\r?\n/)[0] ?? '');
    });
    socket.on('error', said.reject);
    socket.on('close', () => said.reject(new Error('closed without a word')));
    signal.addEventListener('abort', () => socket.destroy(new Error('silence for 5 s')));
    try {
      await connected(socket, signal);
      return await said.promise;
    } finally {
      said.promise.catch(() => {});
      socket.destroy();
    }
  }

  /** What the agent of a node says of its pods. */
  async proof(node: LocalNode): Promise<readonly unknown[]> {
    const rows: unknown = JSON.parse(await node.ask('/proof'));
    return Array.isArray(rows) ? rows : [];
  }

  /** All agents' metrics, as a scraper on the nodes reads them. */
  async metrics(): Promise<Sample[]> {
    const signal = this.#limit(CALL_MS);
    const all = await Promise.all(
      this.mesh.nodes.map(async ({ space }) => {
        const address = space.addresses[0] ?? '';
        const target = { netns: space.fd, address, port: METRICS_PORT, path: '/metrics', signal };
        return parseMetrics((await httpGet(target)).body);
      }),
    );
    return all.flat();
  }

  /** Forgets the access log so far. */
  skipLines(): void {
    for (const lines of this.#logs.values()) lines.read();
  }

  /** Waits for a line of any agent's access log. */
  async line(fits: (line: AccessLine) => boolean, timeoutMs = 8000): Promise<AccessLine> {
    const found = await this.until(
      () =>
        Array.from(this.#logs.values(), (lines) => lines.read())
          .flat()
          .find(fits),
      timeoutMs,
    );
    if (found === undefined) throw missing('a line in the access log that says so');
    return found;
  }

  /** Asks until there is something, or the time is up. */
  async until<T>(
    ask: () => T | undefined | Promise<T | undefined>,
    timeoutMs: number,
  ): Promise<T | undefined> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = await ask();
      if (found !== undefined || performance.now() > deadline) return found;
      await delay(LOOK_EVERY_MS, undefined, { signal: this.#ending });
    }
  }

  #resolve({ from, host, family }: Call): string {
    const { namespace } = this.pod(from).desired;
    const wanted = family ?? this.mesh.world.families.at(-1) ?? 4;
    const found = resolveHost(host, namespace, this.mesh.desired?.hosts ?? []).find(
      (address) => address.includes(':') === (wanted === 6),
    );
    if (found === undefined) throw missing(`an IPv${wanted} address of "${host}"`);
    return found;
  }

  #limit(ms: number): AbortSignal {
    return AbortSignal.any([this.#ending, AbortSignal.timeout(ms)]);
  }
}

/** A field of an access line as text; '' when it is not there. */
export function field(line: AccessLine, name: string): string {
  const value = line[name];
  return value === undefined ? '' : at({ value }, 'value');
}

function missing(what: string): MeshError {
  return new MeshError('OBJECT_INVALID', `Cannot go on with the tour: there is not ${what}`);
}
