/**
 * The door for routes and policies of a waypoint, and what it makes of them: a router that is asked,
 * an authorizer that judges. An input is one frontend or one policy as JSON.
 */
import { decodeText } from '../../../common/control/decode.ts';
import { frontend, httpPolicy } from '../../../common/control/route-schema.ts';
import { HttpAuthorizer } from '../../../common/decide/http-authorize.ts';
import { normalizePath } from '../../../common/decide/normalize-path.ts';
import { Router } from '../../../waypoint/routing/router.ts';
import {
  emptyFrontend,
  fullFrontend,
  fullPolicy,
  gatewayFrontend,
} from '../../helpers/route-samples.ts';
import { request } from '../../helpers/routes.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateJson } from '../mutate.ts';

const MAX_LENGTH = 1 << 20;
const ASKS = [
  request('/api/x?q=1', { 'x-v': '2' }, { method: 'POST' }),
  request('/p/abc', {}, { host: 'a.example' }),
  request('/shop.Cart/Add', { 'content-type': 'application/grpc' }, { host: 'x.b' }),
];
const CONNECTION = {
  identity: undefined,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 80,
};

function readFrontend(text: string): string {
  const read = decodeText(text, { what: 'a route', decoder: frontend, maxLength: MAX_LENGTH });
  const router = new Router(read);
  for (const namespace of ['', 'bank']) for (const ask of ASKS) router.find(ask, namespace);
  return 'read';
}

function readPolicy(text: string): string {
  const read = decodeText(text, { what: 'a policy', decoder: httpPolicy, maxLength: MAX_LENGTH });
  const authorizer = new HttpAuthorizer();
  authorizer.apply([read], []);
  const verdict = authorizer.authorize(['Service/shop/cart'], {
    connection: CONNECTION,
    method: 'GET',
    host: 'x.shop',
    path: normalizePath('/a//b') ?? '/',
    remoteAddress: '10.0.0.1',
    token: undefined,
    header: () => undefined,
  });
  must(verdict.allow || verdict.ask.length === 0, 'nobody is asked about what is refused');
  return 'read';
}

export const routes: Decoder = {
  name: 'routes',
  seeds: [fullFrontend, gatewayFrontend, emptyFrontend, fullPolicy].map((one) =>
    Buffer.from(JSON.stringify(one)),
  ),
  mutate: mutateJson,
  run: (input) => {
    const text = input.toString('utf8');
    const isPolicy = text.includes('http-authorization');
    return outcomeOf(['MESSAGE_INVALID'], () => (isPolicy ? readPolicy(text) : readFrontend(text)));
  },
  // Sixty-four kilobytes of patterns are compiled, each one once at the door and once for use.
  budgetMs: 50,
};
