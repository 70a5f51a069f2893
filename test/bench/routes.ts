/**
 * What finding a route costs, with ten routes and with ten thousand: `npm run bench:routes`.
 *
 * Pure code on one core: prefixes, exact paths, headers and calls of gRPC, each asked for requests
 * that hit and some that miss; then a whole decision, from the path to the endpoint, call begun and
 * ended. The median of rounds that alternate between the two sizes is shown.
 */
import { HttpAuthorizer } from '#common/decide/http-authorize.ts';
import { identityOf } from '#common/identity.ts';
import { DEFAULT_BACKEND_POLICY } from '#common/mesh/backend-policy.ts';
import { RequestDecider } from '../../waypoint/decision/request-decider.ts';
import { UpstreamTable } from '../../waypoint/decision/upstream-table.ts';
import { RouteTable } from '../../waypoint/routing/route-table.ts';
import { fullPolicy } from '../helpers/route-samples.ts';
import { backs, replicas, service, viewOf } from '../helpers/mesh-build.ts';
import { Router } from '../../waypoint/routing/router.ts';
import type { RequestView } from '../../waypoint/routing/request.ts';
import type { Route, RouteMatch } from '#common/mesh/route.ts';
import { backend, exact, frontend, match, prefix, request, route } from '../helpers/routes.ts';

const CART = service('cart');
const SIZES = [10, 10_000] as const;
const ROUNDS = 21;
const FINDS = 200_000;

interface Shape {
  readonly name: string;
  readonly protocol: 'http' | 'grpc';
  readonly match: (i: number) => RouteMatch;
  readonly ask: (i: number) => RequestView;
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

for (const { name, protocol, match: matchOf, ask } of shapes) {
  const routers = SIZES.map(
    (size) => new Router(frontend([], { producer: { protocol, routes: many(size, matchOf) } })),
  );
  // The same ten are asked of both, so that what differs is the table alone; and one that misses.
  const asks = [...Array.from({ length: 10 }, (_, i) => ask(i)), ask(SIZES[1])];
  compare(
    name,
    routers.map((router) => (i) => {
      const one = asks[i % asks.length];
      return one !== undefined && router.find(one, '') !== undefined;
    }),
  );
}

compare(
  'a whole decision, with a policy',
  SIZES.map((size) => {
    const decide = decider(many(size, (i) => match(prefix(`/api/${i}`))));
    const asks = Array.from({ length: 10 }, (_, i) => request(`/api/${i}/items`));
    return (i) => {
      const one = asks[i % asks.length];
      return one !== undefined && decide(one);
    };
  }),
);

function many(size: number, matchOf: (i: number) => RouteMatch): Route[] {
  return Array.from({ length: size }, (_, i) =>
    route(`r${i}`, [
      { matches: [matchOf(i)], backends: [backend('cart', 1, { service: CART.key })] },
    ]),
  );
}

function decider(routes: readonly Route[]): (ask: RequestView) => boolean {
  const table = new RouteTable();
  const key = `${CART.key}:80`;
  table.apply([frontend(routes, { key })], []);
  const authorizer = new HttpAuthorizer();
  const rules = [{ name: 'r', clauses: [{ matches: [{ methods: ['GET'], paths: ['/api/*'] }] }] }];
  authorizer.apply([{ ...fullPolicy, rules }], []);
  const view = viewOf({
    services: [CART],
    workloads: replicas('cart', { count: 20, prefix: '10.64.0.', ...backs(CART) }),
  });
  const locality = { region: '', zone: '', subzone: '' };
  const upstreams = new UpstreamTable({
    view,
    standpoint: { node: 'n', cluster: 'c', locality },
    policyOf: () => DEFAULT_BACKEND_POLICY,
    told: () => undefined,
  });
  const made = new RequestDecider({
    routes: table,
    upstreams,
    authorizer,
    random: () => Math.random(),
    now: () => performance.now(),
    wallClock: () => Date.now(),
  });
  const connection = {
    identity: identityOf('cluster.local', 'shop', 'web'),
    sourceAddress: '10.64.9.1',
    destinationAddress: '10.32.0.1',
    destinationPort: 80,
  };
  return (ask) => {
    const decision = made.decide({
      request: ask,
      frontend: key,
      service: CART.key,
      port: 80,
      isRouted: false,
      arrival: { scheme: 'http', port: 80 },
      namespace: 'shop',
      connection,
      remoteAddress: '10.64.9.1',
      token: undefined,
      targets: ['Service/shop/cart'],
    });
    if (decision.kind !== 'forward') return false;
    const call = decision.upstream.begin(decision.endpoint, false, 1);
    if (call !== undefined) decision.upstream.end(call, 'ok', 2);
    return call !== undefined;
  };
}

/** Runs the same work against a small and a large table in turn, and shows the medians. */
function compare(name: string, works: readonly ((i: number) => boolean)[]): void {
  const times = works.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, work] of works.entries()) {
      const from = performance.now();
      let found = 0;
      for (let n = 0; n < FINDS; n += 1) if (work(n)) found += 1;
      const ns = ((performance.now() - from) * 1e6) / FINDS;
      if (found === 0) throw new Error('nothing was found, so nothing was measured');
      // The first rounds are those of an interpreter.
      if (round >= 5) times[i]?.push(ns);
    }
  }
  const [few = 0, most = 0] = times.map(
    (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0,
  );
  console.log(
    `${name}: ${few.toFixed(0)} ns with ${SIZES[0]} routes, ${most.toFixed(0)} ns with ${SIZES[1]}, ${(most / few).toFixed(2)} ×`,
  );
}
