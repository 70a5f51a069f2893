/**
 * All frontends that a waypoint or gateway serves, by key, compiled when first asked for.
 *
 * A frontend that did not change keeps its router, so a change of one route costs one compilation.
 */
import type { Frontend } from '#common/mesh/route.ts';
import { Router } from './router.ts';

export class RouteTable {
  readonly #frontends = new Map<string, Frontend>();
  readonly #routers = new Map<string, Router>();

  get size(): number {
    return this.#frontends.size;
  }

  /** Adds or replaces frontends, and forgets those whose keys are in `removed`. */
  apply(frontends: readonly Frontend[], removed: readonly string[]): void {
    for (const key of removed) {
      this.#frontends.delete(key);
      this.#routers.delete(key);
    }
    for (const frontend of frontends) {
      this.#frontends.set(frontend.key, frontend);
      this.#routers.delete(frontend.key);
    }
  }

  /** Returns the router of a frontend; undefined where no route is, so traffic goes on untouched. */
  router(key: string): Router | undefined {
    const known = this.#routers.get(key);
    if (known !== undefined) return known;
    const frontend = this.#frontends.get(key);
    if (frontend === undefined) return undefined;
    const router = new Router(frontend);
    this.#routers.set(key, router);
    return router;
  }
}

/** The key of the frontend that a port of a service is. */
export function serviceFrontendKey(service: string, port: number): string {
  return `${service}:${port}`;
}
