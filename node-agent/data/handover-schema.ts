/**
 * Every field of what a predecessor hands over (handover-state.ts): what it may be, and how much of it.
 *
 * Shapes and bounds only; what must fit together is in handover-decode.ts. Nothing is quoted: it holds secrets.
 */
import { formatAddress, parseAddress } from '#common/address.ts';
import {
  boolean,
  concealed,
  integer,
  kinds,
  lines,
  list,
  matching,
  nullOr,
  number,
  object,
  oneOf,
  suchThat,
  text,
} from '#common/control/decode.ts';
import type { Decoder } from '#common/control/decode.ts';
import type { TcpState } from '#common/engine/tcp.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';
import type { TlsState } from '#common/engine/tls-state.ts';
import type { DataFrameState, SessionState, StreamState } from '#common/hbone/session-state.ts';
import type { StreamTableState } from '#common/hbone/session-state.ts';
import type { FrameReaderState } from '#common/http2/frame-reader.ts';
import { LARGEST_MAX_FRAME, LARGEST_STREAM_ID, LARGEST_WINDOW } from '#common/http2/frames.ts';
import type { FrameHead } from '#common/http2/frames.ts';
import * as http2 from '#common/http2/limits.ts';
import type { PeerSettingsState } from '#common/http2/peer-settings.ts';
import type { ReceiveWindowState } from '#common/http2/receive-window.ts';
import { parseIdentity } from '#common/identity.ts';
import type { Identity } from '#common/identity.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import type * as state from './handover-state.ts';
import type { ConnectionRecord } from './record.ts';

const COUNT = Number.MAX_SAFE_INTEGER;
const MOST_DESCRIPTORS = 1024;
/** Of a socket: a stream's window may have come before the application accepted. */
const MOST_QUEUED = 64 << 20;
/** Of the bytes that one unit has queued for its tunnel, in base64; MAX_QUEUED_BYTES and some more. */
const MOST_SEALED = 8 << 20;
const MOST_RECORD = 64 << 10;
const MOST_IDENTITIES = 1024;
const MOST_ROOTS = 64;

const count = integer(0, COUNT);
/** In milliseconds, with a fraction perhaps. */
const time = suchThat(number, `a number from 0 to ${COUNT}`, (ms) => ms >= 0 && ms <= COUNT);
const id = integer(0, LARGEST_STREAM_ID);
const name = text(2048);
const longName = text(64 << 10);
const port = integer(0, 65_535);
const descriptor = integer(0, MOST_DESCRIPTORS - 1);

const identityText = suchThat(name, 'an identity', (value) => parseIdentity(value) !== undefined);

const identity: Decoder<Identity> = (value) => {
  const found = parseIdentity(identityText(value));
  if (found === undefined) throw new TypeError('Cannot be: it was one just now');
  return found;
};
const noIdentity = oneOf('');
const identities = list(identity, MOST_IDENTITIES);

const address = suchThat(name, 'a canonical address', (value) => {
  const bytes = parseAddress(value);
  return bytes !== undefined && formatAddress(bytes) === value;
});

function base64(most: number): Decoder<string> {
  return suchThat(lines(most), 'base64', (value) => /^[A-Za-z0-9+/]*={0,2}$/.test(value));
}

/** As long as the hash of a suite: 32 or 48 bytes. */
const secret = matching(/^(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{64})$/, 'a secret');

const endpoint = object<Endpoint>({ address, port });

const end = object<state.EndState>({
  address,
  port,
  uid: name,
  identity: (value) => (value === '' ? noIdentity(value) : identity(value)),
});

const flow = object<state.FlowState>({
  direction: oneOf('inbound', 'outbound'),
  source: end,
  destination: end,
  service: name,
  hboneAddress: longName,
  traceId: name,
  security: oneOf('mutual_tls', 'unknown'),
  policy: name,
  rule: name,
  nearMiss: longName,
  audits: list(
    object<ConnectionRecord['audits'][number]>({ policy: name, rule: name, wouldDeny: boolean }),
    4096,
  ),
  retries: count,
  requestBytes: count,
  responseBytes: count,
  start: time,
  elapsedMs: time,
  version: count,
  isOpen: boolean,
});

const socket = object<state.SocketState>({
  fd: descriptor,
  tcp: object<TcpState>({
    connecting: name,
    readEnded: boolean,
    writeEnded: boolean,
    finSent: boolean,
  }),
  queuedAt: count,
  queued: integer(0, MOST_QUEUED),
});

const receiveWindow = object<ReceiveWindowState>({
  open: integer(0, LARGEST_WINDOW),
  unconsumed: integer(0, LARGEST_WINDOW),
});

const stream = object<StreamState>({
  id: integer(1, LARGEST_STREAM_ID),
  sendWindow: integer(-LARGEST_WINDOW, LARGEST_WINDOW),
  answered: boolean,
  localEnded: boolean,
  remoteEnded: boolean,
  closed: boolean,
  cut: boolean,
  undelivered: integer(0, http2.MAX_FRAME),
  received: receiveWindow,
});

const endedId = integer(1, LARGEST_STREAM_ID);
const howEnded = oneOf('ended', 'reset', 'peerReset');
type Ended = StreamTableState['ended'][number];

const ended: Decoder<Ended> = (value) => {
  const pair = suchThat(
    list((item) => item, 2),
    'a pair',
    ({ length }) => length === 2,
  )(value);
  return [endedId(pair[0]), howEnded(pair[1])];
};

const frameHead = object<FrameHead>({
  length: integer(0, http2.MAX_FRAME),
  type: integer(0, 255),
  flags: integer(0, 255),
  stream: id,
});

const session = object<SessionState>({
  role: oneOf('client', 'server'),
  phase: oneOf('open', 'draining'),
  awaitsDrainAnswer: boolean,
  peerGoesAway: boolean,
  received: receiveWindow,
  sendWindow: integer(0, LARGEST_WINDOW),
  peer: object<PeerSettingsState>({
    maxStreams: nullOr(integer(0, 0xffff_ffff)),
    initialWindow: integer(0, LARGEST_WINDOW),
    maxFrame: integer(0, LARGEST_MAX_FRAME),
    arrived: boolean,
  }),
  table: object<StreamTableState>({
    lastPeerId: id,
    lastAllowed: id,
    nextOwnId: integer(1, LARGEST_STREAM_ID + 2),
    ended: list(ended, http2.MAX_REMEMBERED),
    streams: list(stream, http2.MAX_STREAMS),
  }),
  reader: object<FrameReaderState>({
    prefaceLeft: integer(0, 24),
    headBytes: base64(12),
    head: frameHead,
    collected: base64(2 * http2.MAX_HEADER_BLOCK),
    left: integer(0, http2.MAX_FRAME),
    reading: oneOf('head', 'padLength', 'data', 'padding', 'frame', 'unknown'),
    padding: integer(0, 255),
    paddingTotal: integer(0, 256),
  }),
  frame: object<DataFrameState>({ stream: id, length: integer(0, http2.MAX_FRAME), ends: boolean }),
});

const tls = object<TlsState>({
  version: oneOf(1),
  role: oneOf('client', 'server'),
  suite: oneOf('aes-128-gcm', 'aes-256-gcm'),
  peer: object<PeerCertificate>({
    uris: list(name, 16),
    fingerprint: matching(/^[0-9a-f]{64}$/, 'a SHA-256 in hex'),
    notAfter: integer(0, 8.64e15),
  }),
  sendSecret: secret,
  sendSequence: count,
  receiveSecret: secret,
  receiveSequence: count,
  leftover: base64(MOST_RECORD),
  queued: base64(MOST_SEALED),
});

const tunnel = {
  fd: descriptor,
  tls,
  session,
  peer: identity,
  roots: list(lines(64 << 10), MOST_ROOTS),
  isRetired: boolean,
} as const;

const relayFields = { stream, owed: count, localEnded: boolean, remoteEnded: boolean } as const;
const relay = object<state.RelayState>(relayFields);
const streamAlone = object<{ readonly stream: StreamState }>({ stream });

const arrival = object<state.ArrivalState>({
  identity: nullOr(identity),
  sourceAddress: address,
  destinationAddress: address,
  destinationPort: port,
});

const connection = kinds<state.ConnectionState>({
  outbound: object<state.OutboundState>({
    kind: oneOf('outbound'),
    flow,
    client: socket,
    destination: endpoint,
    target: nullOr(
      object<state.TargetState>({
        uid: name,
        service: name,
        address: name,
        hostname: name,
        port,
        tunnel: oneOf('hbone', 'none'),
        expected: identities,
      }),
    ),
    tried: list(name, 4096),
    countedAt: name,
    way: kinds<state.WayState>({
      asked: object({ kind: oneOf('asked'), stream, authority: longName }),
      tunnel: object({ kind: oneOf('tunnel'), relay }),
      plain: object({ kind: oneOf('plain'), server: socket }),
    }),
  }),
  inbound: object<state.InboundState>({
    kind: oneOf('inbound'),
    flow,
    arrival,
    app: socket,
    earlyBytes: count,
    earlyEnd: boolean,
    relay: (value) =>
      typeof value === 'object' && value !== null && 'owed' in value
        ? relay(value)
        : streamAlone(value),
  }),
  passthrough: object<state.PassthroughState>({
    kind: oneOf('passthrough'),
    flow,
    arrival,
    destination: endpoint,
    client: socket,
    server: socket,
  }),
  anew: object<state.AnewState>({
    kind: oneOf('anew'),
    service: oneOf('outbound', 'inbound'),
    fd: descriptor,
  }),
});

const unit = object<state.Unit>({
  podUid: name,
  tunnel: nullOr(
    kinds<state.ClientTunnelState | state.ServedTunnelState>({
      'client tunnel': object<state.ClientTunnelState>({
        kind: oneOf('client tunnel'),
        ...tunnel,
        hop: object<state.ClientTunnelState['hop']>({
          identity,
          expected: identities,
          address,
          port,
        }),
      }),
      'served tunnel': object<state.ServedTunnelState>({
        kind: oneOf('served tunnel'),
        ...tunnel,
        source: endpoint,
        local: endpoint,
      }),
    }),
  ),
  connections: list(connection, http2.MAX_STREAMS * 2),
});

export const unitSchema = concealed(unit);
