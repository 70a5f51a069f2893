/**
 * The connections that a worker carries now, to be listed, judged anew, and cut.
 *
 * When the world has changed, inbound connections are judged again, a portion per pass of the loop,
 * so that a change among ten thousand connections does not hold up their bytes.
 */
import { MeshError } from '#common/errors.ts';
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Flow } from './flow.ts';
import type { ConnectionState, Descriptors } from './handover-state.ts';
import * as limits from './limits.ts';
import type { ConnectionInfo } from './record.ts';

export interface LiveConnection {
  readonly flow: Flow;
  /** Ends the connection; its record says why. */
  cut(error: MeshError): void;
  /** Looks again whether policy allows it, where policy has a say, and cuts it if not. */
  recheck(): void;
  /** The tunnel of which it is a stream, if it is one. */
  readonly tunnel: object | undefined;
  /** All there is to it between two passes of the loop; undefined when it cannot move now. */
  state(descriptors: Descriptors): ConnectionState | undefined;
  /** Another process goes on with it: closes what is here without a word to anybody. */
  release(): void;
}

export class LiveConnections implements Task {
  readonly #loop: Loop;
  readonly #byPod = new Map<string, Set<LiveConnection>>();
  readonly #whenEmpty = new Map<string, (() => void)[]>();
  #toCheck: LiveConnection[] = [];
  #isChecking = false;

  constructor(loop: Loop) {
    this.#loop = loop;
  }

  add(connection: LiveConnection): void {
    const { podUid } = connection.flow;
    const known = this.#byPod.get(podUid);
    if (known === undefined) this.#byPod.set(podUid, new Set([connection]));
    else known.add(connection);
  }

  remove(connection: LiveConnection): void {
    const { podUid } = connection.flow;
    const all = this.#byPod.get(podUid);
    if (all?.delete(connection) !== true || all.size > 0) return;
    this.#byPod.delete(podUid);
    const waiting = this.#whenEmpty.get(podUid) ?? [];
    this.#whenEmpty.delete(podUid);
    for (const tell of waiting) tell();
  }

  get isEmpty(): boolean {
    return this.#byPod.size === 0;
  }

  count(podUid: string): number {
    return this.#byPod.get(podUid)?.size ?? 0;
  }

  of(podUid: string): Iterable<LiveConnection> {
    return this.#byPod.get(podUid) ?? [];
  }

  list(): ConnectionInfo[] {
    return Array.from(this.#byPod.values()).flatMap((all) =>
      Array.from(all, ({ flow }) => flow.info()),
    );
  }

  /** Judges every inbound connection anew, in this pass and those that follow. */
  recheckAll(): void {
    this.#toCheck = Array.from(this.#byPod.values()).flatMap((all) =>
      Array.from(all).filter(({ flow }) => flow.direction === 'inbound'),
    );
    if (this.#isChecking) return;
    this.#isChecking = true;
    this.run();
  }

  run(): void {
    for (const connection of this.#toCheck.splice(-limits.RECHECKS_PER_PASS)) {
      if (!connection.flow.hasEnded) connection.recheck();
    }
    this.#isChecking = this.#toCheck.length > 0;
    if (this.#isChecking) this.#loop.soon(this);
  }

  /** Calls `tell` once when the pod has no connection left; at once when it has none. */
  whenEmpty(podUid: string, tell: () => void): void {
    if (this.count(podUid) === 0) {
      tell();
      return;
    }
    const waiting = this.#whenEmpty.get(podUid);
    if (waiting === undefined) this.#whenEmpty.set(podUid, [tell]);
    else waiting.push(tell);
  }

  /** Cuts what a pod has left. */
  cutAll(podUid: string): void {
    const error = new MeshError('STOPPING', 'Cannot go on: the time to drain is over');
    for (const connection of Array.from(this.#byPod.get(podUid) ?? [])) connection.cut(error);
  }
}
