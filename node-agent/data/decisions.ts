/**
 * What was decided for one pod since the world last changed, so that deciding it again is a look-up.
 *
 * Routes, verdicts and targets are pure functions of the view and of the question (common/decide), so
 * an old answer is as good as a new one until `forget()`, which comes with every change of the view or
 * of the pod and before anything else is decided. Peers choose part of the questions: no more than
 * `MOST_DECISIONS` answers of a kind are kept.
 */
import { authorize } from '#common/decide/authorize.ts';
import type { Connection, Verdict } from '#common/decide/authorize.ts';
import { inboundTarget } from '#common/decide/inbound.ts';
import type { InboundTarget } from '#common/decide/inbound.ts';
import { route } from '#common/decide/route.ts';
import type { Destination, Route } from '#common/decide/route.ts';
import type { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import * as limits from './limits.ts';

export class Decisions {
  readonly #view: View;
  readonly #uid: () => string;
  #isKnown = false;
  #workload: Workload | undefined;
  readonly #routes = new Map<string, Route>();
  readonly #verdicts = new Map<string, Verdict>();
  readonly #targets = new Map<string, InboundTarget>();
  readonly #strangers = new Map<string, Workload | undefined>();

  /** `uid` names the workload that the pod is, as it is now. */
  constructor(view: View, uid: () => string) {
    this.#view = view;
    this.#uid = uid;
  }

  /** Something has changed: nothing that was decided before counts any more. */
  forget(): void {
    this.#isKnown = false;
    this.#workload = undefined;
    this.#routes.clear();
    this.#verdicts.clear();
    this.#targets.clear();
    this.#strangers.clear();
  }

  /** The pod's own record. */
  workload(): Workload | undefined {
    if (!this.#isKnown) {
      this.#workload = this.#view.workload(this.#uid());
      this.#isKnown = true;
    }
    return this.#workload;
  }

  workloadAt(address: string): Workload | undefined {
    const known = this.#strangers.get(address);
    if (known !== undefined) return known;
    return keep(this.#strangers, address, this.#view.workloadAt(address));
  }

  /** Where a connection of the pod goes. */
  route(destination: Destination): Route {
    const key = `${destination.address} ${destination.port}`;
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    return keep(this.#routes, key, route(this.#view, this.workload(), destination));
  }

  /** Whether policy lets a connection to the pod in, whose record is `subject`. */
  verdict(subject: Workload, connection: Connection): Verdict {
    if (subject !== this.#workload) return authorize(this.#view, subject, connection);
    const { identity, sourceAddress, destinationAddress, destinationPort } = connection;
    const key = `${destinationPort} ${sourceAddress} ${destinationAddress} ${identity ?? ''}`;
    const known = this.#verdicts.get(key);
    if (known !== undefined) return known;
    return keep(this.#verdicts, key, authorize(this.#view, subject, connection));
  }

  /** Where a CONNECT leads that `localAddress` of the pod received. */
  target(authority: string, localAddress: string): InboundTarget {
    const key = `${localAddress} ${authority}`;
    const known = this.#targets.get(key);
    if (known !== undefined) return known;
    const to = { authority, localAddress };
    return keep(this.#targets, key, inboundTarget(this.#view, this.workload(), to));
  }
}

function keep<T>(answers: Map<string, T>, key: string, answer: T): T {
  if (answers.size >= limits.MOST_DECISIONS) answers.clear();
  answers.set(key, answer);
  return answer;
}
