/**
 * What finding a route costs, with ten routes and with ten thousand: `npm run bench:routes`.
 *
 * Pure code on one core: prefixes, exact paths, headers and calls of gRPC, each asked for requests
 * that hit and some that miss. The median of rounds that alternate between the two sizes is shown.
 */
import { Router } from '../../waypoint/routing/router.ts';
import type { RequestView } from '../../waypoint/routing/request.ts';
import type { RouteMatch } from '#common/mesh/route.ts';
import { exact, frontend, match, prefix, request, route } from '../helpers/routes.ts';

const SIZES = [10, 10_000] as const;
const ROUNDS = 21;
const FINDS = 200_000;

interface Shape {
  readonly name: string;
  readonly protocol: 'http' | 'grpc';
  match(i: number): RouteMatch;
  ask(i: number): RequestView;
}

const shapes: readonly Shape[] = [
  {
    name: 'prefix, 3 segments',
    protocol: 'http',
    match: (i) => match(prefix(`/api/team-${i}/v1`)),
    ask: (i) => request(`/api/team-${i}/v1/orders/17`),
  },
  {
    name: 'exact path',
    protocol: 'http',
    match: (i) => match(exact(`/page/${i}`)),
    ask: (i) => request(`/page/${i}`),
  },
  {
    name: 'one path, header value',
    protocol: 'http',
    match: (i) => match({ headers: [{ name: 'x-tenant', kind: 'exact', value: `t${i}` }] }),
    ask: (i) => request('/', { 'x-tenant': `t${i}` }),
  },
  {
    name: 'call of gRPC',
    protocol: 'grpc',
    match: (i) => match({ grpc: { kind: 'exact', service: `shop.S${i}`, method: 'Get' } }),
    ask: (i) => request(`/shop.S${i}/Get`),
  },
];

for (const shape of shapes) {
  const subjects = SIZES.map((size) => {
    const routes = Array.from({ length: size }, (_, i) =>
      route(`r${i}`, [{ matches: [shape.match(i)] }]),
    );
    // The same ten are asked of both, so that what differs is the table alone.
    const asks = Array.from({ length: 10 }, (_, i) => shape.ask(i));
    const missing = shape.ask(size);
    return {
      router: new Router(frontend([], { producer: { protocol: shape.protocol, routes } })),
      asks: [...asks, missing],
    };
  });
  const times = subjects.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, { router, asks }] of subjects.entries()) {
      const from = performance.now();
      let found = 0;
      for (let n = 0; n < FINDS; n += 1) {
        if (router.find(asks[n % asks.length] ?? request('/'), '') !== undefined) found += 1;
      }
      const ns = ((performance.now() - from) * 1e6) / FINDS;
      if (found === 0) throw new Error('nothing was found, so nothing was measured');
      // The first rounds are those of an interpreter.
      if (round >= 5) times[i]?.push(ns);
    }
  }
  const [few = 0, many = 0] = times.map(
    (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0,
  );
  console.log(
    `${shape.name}: ${few.toFixed(0)} ns with ${SIZES[0]} routes, ${many.toFixed(0)} ns with ${SIZES[1]}, ${(many / few).toFixed(2)} ×`,
  );
}
