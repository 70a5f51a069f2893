/**
 * The two texts that a waypoint takes for its routes: a list is routes out of a file, a mapping is
 * what the mesh says.
 */
import { MeshRouter } from './mesh-router.ts';
import type { MeshRouterDeps } from './mesh-router.ts';
import { readMeshRoutes } from './mesh-routes.ts';
import type { Router } from './router.ts';
import { StaticRoutes } from './static-routes.ts';

/** Throws when `text` is neither. */
export function checkRoutes(text: string): void {
  if (isMesh(text)) readMeshRoutes(text);
  else void new StaticRoutes(text);
}

export function routerFor(text: string, deps: MeshRouterDeps): Router {
  return isMesh(text) ? new MeshRouter(text, deps) : new StaticRoutes(text);
}

function isMesh(text: string): boolean {
  return text.trimStart().startsWith('{');
}
