/**
 * A waypoint: the map of its parts. Main holds listeners, routes and admin; workers carry requests.
 *
 * It holds no key of the mesh: clients come as they are, or over links with the agent of its node. A
 * worker that dies ends the process, and whoever keeps it starts it again.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AdminServer, json } from '#common/admin.ts';
import { MeshError } from '#common/errors.ts';
import type { Logger } from '#common/log.ts';
import { Readiness } from '#common/readiness.ts';
import type { WaypointConfig } from './config.ts';
import { openLinkListener, openListener } from './listeners.ts';
import { waypointMetrics } from './metrics.ts';
import { COUNTS } from './proxy/counters.ts';
import type { FromWorker } from './proxy/messages.ts';
import { checkRoutes } from './proxy/routes-text.ts';
import { WorkerHost } from './proxy/worker-host.ts';

export interface WaypointDeps {
  readonly config: WaypointConfig;
  readonly log: Logger;
  /** It cannot go on. */
  readonly onFailure: () => void;
}

export class Waypoint {
  readonly #config: WaypointConfig;
  readonly #log: Logger;
  readonly #onFailure: () => void;
  readonly #readiness: Readiness;
  readonly #hosts: WorkerHost[] = [];
  readonly #servers: AdminServer[] = [];
  readonly #drained = Promise.withResolvers<void>();
  #notDrained = 0;
  #isStopping = false;
  #routes = '';

  constructor({ config, log, onFailure }: WaypointDeps) {
    this.#config = config;
    this.#log = log;
    this.#onFailure = onFailure;
    this.#readiness = new Readiness(log);
  }

  async start(): Promise<void> {
    const { workers, link } = this.#config;
    this.#routes = this.#checkedRoutes();
    for (let worker = 0; worker < workers; worker += 1) this.#startWorker(worker);
    for (const server of this.#adminServers()) {
      await server.start();
      this.#servers.push(server);
    }
    this.#log.info('waypoint started', { workers, link, listen: this.#config.listen });
  }

  /** Reads the routes anew; what is wrong with them is said, and the old ones stay. */
  readRoutes(): void {
    try {
      this.#routes = this.#checkedRoutes();
    } catch (error) {
      this.#log.error('routes not taken', { error });
      return;
    }
    for (const host of this.#hosts) host.post({ kind: 'routes', text: this.#routes });
    this.#log.info('routes taken', {});
  }

  /** Lets connections end for as long as the drain may take, then cuts them. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#notDrained = this.#hosts.length;
    for (const host of this.#hosts) host.post({ kind: 'drain' });
    await Promise.race([this.#drained.promise, delay(this.#config.drainMs)]);
    await Promise.all(this.#hosts.map((host) => host.stop()));
    for (const server of this.#servers.splice(0)) await server.stop();
    this.#log.info('waypoint stopped', { drained: this.#notDrained === 0 });
  }

  #startWorker(worker: number): void {
    const { listen, link, agentUid } = this.#config;
    const isReady = this.#readiness.blockedBy(`worker ${worker}`);
    let hasLink = link === '' ? undefined : this.#readiness.blockedBy(`link of worker ${worker}`);
    const onMessage = (message: FromWorker): void => {
      switch (message.kind) {
        case 'ready':
          isReady();
          break;
        case 'link':
          if (message.isUp) hasLink?.();
          else hasLink = this.#readiness.blockedBy(`link of worker ${worker}`);
          break;
        case 'drained':
          this.#notDrained -= 1;
          if (this.#notDrained === 0) this.#drained.resolve();
          break;
        case 'log':
          this.#log[message.level](message.message, { worker, ...message.fields });
          break;
      }
    };
    this.#hosts.push(
      new WorkerHost({
        worker,
        listeners: listen.map((at) => openListener(at)),
        linkListener: link === '' ? undefined : openLinkListener(`\0${link}/in/${worker}`),
        linkOut: link === '' ? undefined : `\0${link}/out`,
        agentUid,
        routes: this.#routes,
        onMessage,
        onDeath: (cause) => {
          this.#log.error('worker died', { worker, error: cause });
          this.#onFailure();
        },
      }),
    );
  }

  #checkedRoutes(): string {
    const file = this.#config.routes;
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (cause) {
      throw new MeshError('CONFIG_INVALID', `Cannot read the routes: no file "${file}"`, { cause });
    }
    checkRoutes(text);
    return text;
  }

  #counts(): Record<string, number> {
    const sum = (name: (typeof COUNTS)[number]): number =>
      this.#hosts.reduce((all, { counters }) => all + counters.read(name), 0);
    return Object.fromEntries(COUNTS.map((name) => [name, sum(name)]));
  }

  #adminServers(): AdminServer[] {
    const { adminPort, metricsPort } = this.#config;
    const servers: AdminServer[] = [];
    const log = this.#log;
    if (adminPort > 0) {
      const counts = {
        method: 'GET',
        path: '/counts',
        about: 'all counters',
        answer: () => json(this.#counts()),
      } as const;
      const listen = [{ host: '127.0.0.1', port: adminPort, localOnly: true }];
      servers.push(
        new AdminServer({ name: 'admin', log, routes: [counts, this.#readiness.route()], listen }),
      );
    }
    if (metricsPort > 0) {
      const metrics = waypointMetrics(() => this.#counts());
      const scrape = async () => ({ type: metrics.contentType, body: await metrics.text() });
      const about = 'metrics in the Prometheus text format';
      const route = { method: 'GET', path: '/metrics', about, answer: scrape } as const;
      const listen = [{ host: '::', port: metricsPort, localOnly: false }];
      servers.push(
        new AdminServer({ name: 'metrics', log, routes: [route, this.#readiness.route()], listen }),
      );
    }
    return servers;
  }
}
