/**
 * What a CONNECT and its answer say: a header list to a request of ours, and the hints inside it.
 *
 * Whatever a peer sends is a request, an invalid one or a malformed message. A request has an authority
 * that is exactly one, its hints have bounds, and what goes into a log is a code or nothing.
 */
import { parseAuthority as parseDestination } from '../../../common/decide/inbound.ts';
import { parseAuthority, readRequest, readResponse } from '../../../common/hbone/headers.ts';
import { parseBaggage, parseForwarded, parseTraceparent } from '../../../common/hbone/hints.ts';
import { readMessage } from '../../../common/http2/message.ts';
import { must, type Decoder } from '../decoder.ts';
import { mutateLines } from '../mutate.ts';

const LONGEST_HINT = 4096;

function run(input: Buffer): string {
  const headers = input
    .toString('latin1')
    .split('\n')
    .map((line) => {
      const at = line.indexOf('=');
      return { name: line.slice(0, Math.max(at, 0)), value: line.slice(at + 1) };
    });
  const kind = headers[0]?.name === ':status' ? 'response' : 'request';
  const message = readMessage(headers, kind);
  if (typeof message === 'string') return message;
  if (kind === 'response') {
    const { reason = 'OK', baggage = '' } = readResponse(message);
    must(/^[A-Z][A-Z_]{0,63}$/.test(reason), 'a reason that is no code');
    readHints([baggage]);
    return 'read';
  }
  const request = readRequest(message);
  if ('invalid' in request) return request.invalid;
  const authority = parseAuthority(request.authority);
  must(authority !== undefined, 'an authority that is none');
  must((authority?.port ?? 0) >= 1 && (authority?.port ?? 0) <= 65_535, 'no port');
  const destination = parseDestination(request.authority);
  // The second reader may refuse what the first took, but not take it for something else.
  if (destination !== undefined) {
    const host = destination.kind === 'address' ? destination.address : destination.hostname;
    must(host === authority?.host && destination.port === authority.port, 'two destinations');
  }
  readHints([request.baggage, request.forwarded, request.traceparent, request.network]);
  return 'read';
}

function readHints(texts: readonly (string | undefined)[]): void {
  for (const text of texts) {
    must((text ?? '').length <= LONGEST_HINT, 'a long hint');
    if (text === undefined) continue;
    const found = { ...parseBaggage(text), ...parseForwarded(text), ...parseTraceparent(text) };
    for (const value of Object.values(found)) must(value.length <= text.length, 'it grew');
  }
}

const request = (...lines: readonly string[]): Buffer =>
  Buffer.from([':method=CONNECT', ':authority=10.0.0.7:80', ...lines].join('\n'));
const long = (text: string): string => text.repeat(Math.floor(LONGEST_HINT / text.length));

export const hboneHeaders: Decoder = {
  name: 'hbone-headers',
  seeds: [
    request(),
    request(
      'baggage=k8s.cluster.name=c,k8s.namespace.name=n,k8s.deployment.name=d,service.name=s',
      'forwarded=for="10.0.0.1:4000";host=cart.shop.svc.cluster.local',
      'traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ),
    request('x-forwarded-network=n', 'plumbline-source=spiffe://cluster.local/ns/a/sa/b'),
    Buffer.from(':method=CONNECT\n:authority=[fd00::7]:443\nbaggage=a=b\nbaggage=c=d'),
    Buffer.from(':method=CONNECT\n:authority=cart.shop.svc.cluster.local:8080'),
    Buffer.from(':status=200\nbaggage=service.name=x'),
    Buffer.from(':status=503\nplumbline-reason=CONNECT_FAILED'),
  ],
  mutate: mutateLines,
  run,
  costly: {
    'hints of pairs': request(`baggage=${long('a=b,')}`, `forwarded=${long('for=a;')}`),
    'hints of spaces': request(`baggage=${long(' =')}x`, `forwarded=for${long(' ')}=`),
    'many fields': request(...Array.from({ length: 6000 }, () => 'baggage=a')),
  },
};
