/**
 * What `plumb up` says while it works: one line for each thing that became true or ceased to be.
 *
 * `look` compares the mesh with what was said last, so it may be called as often as one likes.
 */
import type { LocalMesh } from './local-mesh.ts';

export class Progress {
  readonly #print: (line: string) => void;
  readonly #began = performance.now();
  readonly #said = new Map<string, string>();

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  say(text: string): void {
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    this.#print(`${seconds.padStart(6)}s  ${text}`);
  }

  look(mesh: LocalMesh): void {
    const now = new Map<string, string>();
    for (const { space, agent } of mesh.nodes) {
      const state = agent.pid === 0 ? 'agent is down' : `agent runs, pid ${agent.pid}`;
      now.set(`node ${space.name}`, state);
    }
    for (const { desired, runtime } of mesh.pods) {
      const where = `${desired.node} ${runtime.addresses.join(' ')}`;
      const key = `pod ${desired.namespace}/${desired.name} ${desired.podUid}`;
      now.set(key, describe(runtime, where));
    }
    for (const [thing, state] of now) this.#note(thing, state);
    for (const thing of this.#said.keys()) {
      if (now.has(thing)) continue;
      this.#said.delete(thing);
      this.say(`${shortName(thing)} is gone`);
    }
  }

  #note(thing: string, state: string): void {
    if (this.#said.get(thing) === state) return;
    this.#said.set(thing, state);
    if (state !== '') this.say(`${shortName(thing)} ${state}`);
  }
}

interface Facts {
  readonly phase: string;
  readonly ready: boolean;
  readonly terminating: boolean;
}

/** '' for what is on its way and needs no line. */
function describe({ phase, ready, terminating }: Facts, where: string): string {
  if (terminating) return 'is ending';
  if (ready) return `is ready on ${where}`;
  if (phase === 'Running' || phase === 'Pending') return '';
  return `has ended: ${phase}`;
}

/** `pod shop/web-1`, without the uid. */
function shortName(thing: string): string {
  return thing.split(' ').slice(0, 2).join(' ');
}
