/**
 * Everything in one worker: its listeners, links, pools and routes, and what main tells it.
 */
import { formatEndpoint } from '#common/address.ts';
import { Listener } from '#common/engine/listener.ts';
import type { Loop } from '#common/engine/loop.ts';
import { Stage } from '#common/engine/tls-stage.ts';
import { closeFd, peerOf, socketFor } from '#common/sys/libc.ts';
import { setNoDelay } from '#common/sys/socket-options.ts';
import type { Level } from '#common/log.ts';
import { acceptClient } from './accept.ts';
import { Counters } from './counters.ts';
import * as limits from './limits.ts';
import { acceptLinks } from './link-in.ts';
import { OutLink } from './link-out.ts';
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts';
import { Pools } from './pools.ts';
import { callerOf, type Destination, type Router } from './router.ts';
import { routerFor } from './routes-text.ts';
import type { Shared } from './shared.ts';
import { Destinations } from './mesh-router.ts';
import { Sweep, type Ticking } from './sweep.ts';
import { TcpWire } from './tcp-wire.ts';
import type { Wire, WireOwner } from './wire.ts';

const NOBODY: WireOwner = {
  onBytes: () => undefined,
  onEnd: () => undefined,
  onDrained: () => undefined,
  onClosed: () => undefined,
};

export class Station implements Ticking {
  readonly #loop: Loop;
  readonly #post: (message: FromWorker) => void;
  readonly #shared: Shared;
  readonly #listeners: Listener[] = [];
  readonly #destinations = new Destinations();
  #saidDrained = false;

  constructor(loop: Loop, start: WorkerStart, post: (message: FromWorker) => void) {
    this.#loop = loop;
    this.#post = post;
    const pools = new Pools();
    const linkStage = new Stage(loop);
    this.#shared = {
      loop,
      stage: new Stage(loop),
      counters: new Counters(start.counters),
      sweep: new Sweep(loop),
      pools,
      router: this.#routerFor(start.routes),
      isDraining: false,
      dial: (to, source, owner) =>
        out === undefined ? this.#dial(to, owner) : out.open(to, source, owner),
      log: (level, message, fields) => this.log(level, message, fields),
    };
    const { agentUid } = start;
    const out =
      start.linkOut === undefined
        ? undefined
        : new OutLink(this.#shared, {
            name: start.linkOut,
            agentUid,
            stage: linkStage,
            onState: (isUp) => post({ kind: 'link', isUp }),
          });
    pools.use(this.#shared);
    for (const fd of start.listeners) this.#listeners.push(this.#listen(fd));
    if (start.linkListener !== undefined) {
      const links = acceptLinks(this.#shared, start.linkListener, { agentUid, stage: linkStage });
      this.#listeners.push(links);
    }
    out?.run();
    this.#shared.sweep.add(this);
    post({ kind: 'ready' });
  }

  #routerFor(text: string): Router {
    return routerFor(text, {
      random: () => Math.random(),
      now: () => this.#loop.now,
      wallClock: () => Date.now(),
      destinations: this.#destinations,
    });
  }

  log(level: Level, message: string, fields: Readonly<Record<string, unknown>>): void {
    this.#post({ kind: 'log', level, message, fields });
  }

  handle(message: ToWorker): void {
    switch (message.kind) {
      case 'routes':
        this.#shared.router = this.#routerFor(message.text);
        break;
      case 'drain':
        this.#shared.isDraining = true;
        for (const listener of this.#listeners) listener.release();
        break;
      case 'stop':
        this.#loop.stop();
        break;
    }
  }

  onTick(): void {
    if (!this.#shared.isDraining || this.#saidDrained) return;
    if (this.#shared.counters.read('connectionsOpen') > 0) return;
    this.#saidDrained = true;
    this.#post({ kind: 'drained' });
  }

  #listen(fd: number): Listener {
    return new Listener(this.#loop, fd, {
      onAccept: (accepted) => {
        const peer = peerOf(accepted);
        if (peer === undefined) {
          closeFd(accepted); // Reset already.
          return;
        }
        const address = formatEndpoint(peer.address, peer.port);
        const wire = new TcpWire(this.#shared, accepted, NOBODY);
        acceptClient(this.#shared, wire, callerOf('', address, ''));
      },
      onExhausted: (error) =>
        this.log('error', 'cannot accept connections', { error: error.message }),
    });
  }

  #dial({ address, port }: Destination, owner: WireOwner): Wire | undefined {
    const fd = socketFor(address);
    if (fd < 0) return undefined;
    setNoDelay(fd);
    const to = { address, port, timeoutMs: limits.CONNECT_TIMEOUT_MS };
    return new TcpWire(this.#shared, fd, owner, to);
  }
}

/** What failed, as fields of a log line. */
export function describeFault(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof Error)) return { error: String(error) };
  return { error: error.message, stack: error.stack };
}
