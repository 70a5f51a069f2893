/** Units of a hand-over as a predecessor writes them, made by hand: one of each kind. */
import { identityOf } from '#common/identity.ts';
import type { SessionState, StreamState } from '#common/hbone/session-state.ts';
import type * as state from '../../node-agent/data/handover-state.ts';

export const SECRET = Buffer.alloc(32, 'never quoted').toString('base64');
const [web, cart] = ['web', 'cart'].map((name) => identityOf('cluster.local', 'shop', name));
if (web === undefined || cart === undefined) throw new TypeError();

const stream = (id: number): StreamState => ({
  id,
  sendWindow: 65_535,
  answered: true,
  localEnded: false,
  remoteEnded: id === 3,
  closed: false,
  cut: false,
  undelivered: 0,
  received: { open: 4_194_304, unconsumed: 0 },
});

const session = (role: 'client' | 'server', ids: readonly number[]): SessionState => ({
  role,
  phase: 'open',
  awaitsDrainAnswer: false,
  peerGoesAway: false,
  received: { open: 16_777_216, unconsumed: 10 },
  sendWindow: 1_000_000,
  peer: {
    maxStreams: role === 'client' ? 200 : null,
    initialWindow: 65_535,
    maxFrame: 16_384,
    arrived: true,
  },
  table: {
    lastPeerId: role === 'server' ? 3 : 0,
    lastAllowed: 2_147_483_647,
    nextOwnId: role === 'client' ? 5 : 1,
    ended: [[1, 'ended'] as const],
    streams: ids.map(stream),
  },
  reader: {
    prefaceLeft: 0,
    headBytes: 'AAAA',
    head: { length: 0, type: 0, flags: 0, stream: 0 },
    collected: '',
    left: 0,
    reading: 'head',
    padding: 0,
    paddingTotal: 0,
  },
  frame: { stream: 0, length: 0, ends: false },
});

const tunnel = (role: 'client' | 'server', peer: typeof web, ids: readonly number[]) => ({
  fd: 0,
  tls: {
    version: 1 as const,
    role,
    suite: 'aes-128-gcm' as const,
    peer: { uris: [peer], fingerprint: 'ab'.repeat(32), notAfter: 1_900_000_000_000 },
    sendSecret: SECRET,
    sendSequence: 7,
    receiveSecret: SECRET,
    receiveSequence: 9,
    leftover: '',
    queued: 'AQID',
  },
  session: session(role, ids),
  peer,
  roots: ['-----BEGIN CERTIFICATE-----\n'],
  isRetired: false,
});

const flow = (direction: 'inbound' | 'outbound'): state.FlowState => ({
  direction,
  source: { address: '10.0.0.1', port: 40_000, uid: 'Kubernetes//Pod/shop/web', identity: web },
  destination: { address: 'fd00::2', port: 80, uid: '', identity: '' },
  service: 'shop/cart',
  hboneAddress: '10.0.0.2:80',
  traceId: '',
  security: 'mutual_tls',
  policy: '',
  rule: '',
  nearMiss: '',
  audits: [{ policy: 'shop/look', rule: 'rule 1', wouldDeny: true }],
  retries: 0,
  requestBytes: 10,
  responseBytes: 20,
  start: 1_800_000_000_000,
  elapsedMs: 12.5,
  version: 3,
  isOpen: true,
});

const socket = (fd: number, queued = 0): state.SocketState => ({
  fd,
  tcp: { connecting: '', readEnded: false, writeEnded: false, finSent: false },
  queuedAt: 0,
  queued,
});

const outbound = (way: state.WayState, fd: number): state.OutboundState => ({
  kind: 'outbound',
  flow: flow('outbound'),
  client: socket(fd, 5),
  destination: { address: '10.32.0.1', port: 80 },
  target: {
    uid: 'Kubernetes//Pod/shop/cart',
    service: 'shop/cart',
    address: '10.0.0.2',
    hostname: '',
    port: 80,
    tunnel: 'hbone',
    expected: [cart],
  },
  tried: [],
  countedAt: 'shop/cart',
  way,
});

const arrival = (identity: typeof web | null): state.ArrivalState => ({
  identity,
  sourceAddress: '10.0.0.1',
  destinationAddress: '10.0.0.2',
  destinationPort: 80,
});

const relay = (id: number): state.RelayState => ({
  stream: stream(id),
  owed: 0,
  localEnded: false,
  remoteEnded: false,
});

const inbound = (id: number, fd: number): state.InboundState => ({
  kind: 'inbound',
  flow: flow('inbound'),
  arrival: arrival(web),
  app: socket(fd),
  earlyBytes: 0,
  earlyEnd: false,
  relay: id === 3 ? { stream: stream(id) } : relay(id),
});

const alone = (connection: state.ConnectionState): state.Unit => ({
  podUid: 'pod-a',
  tunnel: null,
  connections: [connection],
});

/** As long as the file with queued bytes is taken to be. */
export const BYTES = 100;

export const clientTunnelUnit: state.Unit = {
  podUid: 'pod-a',
  tunnel: {
    kind: 'client tunnel',
    ...tunnel('client', cart, [1, 3]),
    hop: { identity: web, expected: [cart], address: '10.0.0.2', port: 15_008 },
  },
  connections: [
    outbound({ kind: 'asked', stream: stream(1), authority: '10.0.0.2:80' }, 1),
    outbound({ kind: 'tunnel', relay: relay(3) }, 2),
  ],
};

export const servedTunnelUnit: state.Unit = {
  podUid: 'pod-b',
  tunnel: {
    kind: 'served tunnel',
    ...tunnel('server', web, [1, 3]),
    source: { address: '10.0.0.1', port: 40_000 },
    local: { address: '10.0.0.2', port: 15_008 },
  },
  connections: [inbound(1, 1), inbound(3, 2)],
};

export const plainUnit = alone(outbound({ kind: 'plain', server: socket(1, 95) }, 0));

export const passthroughUnit = alone({
  kind: 'passthrough',
  flow: flow('inbound'),
  arrival: arrival(null),
  destination: { address: '10.0.0.2', port: 80 },
  client: socket(0),
  server: socket(1),
});

export const anewUnit = alone({ kind: 'anew', service: 'inbound', fd: 0 });

/** With how many descriptors each comes. */
export const UNITS: readonly (readonly [state.Unit, number])[] = [
  [clientTunnelUnit, 3],
  [servedTunnelUnit, 3],
  [plainUnit, 2],
  [passthroughUnit, 2],
  [anewUnit, 1],
];
