/**
 * Every bound of the data path, in one place: what is waited for, kept or tried, and how much.
 *
 * Nothing that a peer or a pod can make grow is without a number here or in common/http2.
 */

/** Redirect targets and the tunnel port; a proxied connection may never lead to one of them. */
export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15006;
export const TUNNEL_PORT = 15008;
export const DNS_PORT = 15053;

/** Questions that wait for a busy worker: some thousands. What comes beyond them is lost, as UDP is. */
export const DNS_QUEUE_BYTES = 4 << 20;

export const SOCKET_MARK = 0x4d1;

/** The kernel cuts it to net.core.somaxconn. */
export const LISTEN_BACKLOG = 4096;

/** Connections taken from one listener before the rest of the loop has its turn. */
export const ACCEPTS_PER_PASS = 64;
/** How long a worker that ran out of descriptors leaves its listeners alone. */
export const ACCEPT_PAUSE_MS = 100;

export const CONNECT_TIMEOUT_MS = 10_000;
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** From the CONNECT request to its answer: the far side needs up to 10 s to reach its pod. */
export const RESPONSE_TIMEOUT_MS = 15_000;
/** How long a connection waits for its pod's own workload record or certificate. */
export const READINESS_TIMEOUT_MS = 5_000;

/** How long a connection waits for an agent that refuses it, and how often it asks: patience.ts. */
export const JOIN_PATIENCE_MS = 1_000;
export const JOIN_LOOK_MS = 50;

/** Endpoints tried after the first, as long as no byte has been sent. */
export const MOST_RETRIES = 2;

/** Streams of one pooled tunnel, unless its peer allows fewer. */
export const MOST_STREAMS_PER_TUNNEL = 100;
export const MOST_TUNNELS_PER_HOP = 512;
export const MOST_TUNNELS_PER_POD = 4_096;
/** Idle tunnels a pod keeps in one worker; the longest unused goes first. */
export const MOST_IDLE_TUNNELS = 500;
export const TUNNEL_IDLE_MS = 300_000;
/** Connections of one pod that wait for a tunnel, a record or a certificate. */
export const MOST_WAITING = 8_192;

/** Server handshakes of one pod that have not ended yet, in one worker. */
export const MOST_HANDSHAKES = 4_096;

/** Read calls for one connection in one pass of the loop; what is left waits for the next pass. */
export const READS_PER_TURN = 8;
/** Bytes that one read may bring. */
export const READ_BYTES = 128 * 1024;
/** The same into a tunnel: with its head such a frame fills 8 TLS records to the byte. */
export const STREAM_READ_BYTES = 8 * 16_384 - 9;
/** Bytes queued for a plain peer above which the other side is not read. */
export const PLAIN_HIGH_WATER = 256 * 1024;

/** Answers of one kind that are kept for a pod until the world changes. */
export const MOST_DECISIONS = 1_024;

/** Live connections judged anew in one pass after the world has changed. */
export const RECHECKS_PER_PASS = 512;

/** A record is posted with others, at the latest after this long. */
export const RECORD_BATCH_MS = 50;
export const MOST_RECORDS_PER_BATCH = 512;
/** Records that a busy main thread has not taken yet; further ones are counted and dropped. */
export const MOST_RECORDS_WAITING = 65_536;

/** TCP keep-alive (hbone.md section 0): idle, interval, probes. */
export const KEEPALIVE_IDLE_S = 180;
export const KEEPALIVE_INTERVAL_S = 180;
export const KEEPALIVE_PROBES = 9;
/** Data that a peer has not acknowledged for so long means that the peer is gone. */
export const USER_TIMEOUT_MS = 60_000;

/** Ports that nothing may be led to. */
export function isOwnPort(port: number): boolean {
  return (
    port === OUTBOUND_PORT || port === INBOUND_PORT || port === TUNNEL_PORT || port === DNS_PORT
  );
}

/** A snapshot up to this size is applied at once. */
export const AT_ONCE_BYTES = 64 * 1024;
/** How long a worker with connections builds a snapshot before it looks after them again. */
export const PORTION_MS = 0.2;
/** How long without connections. */
export const LARGE_PORTION_MS = 5;
/** From the end of a portion to the next one. */
export const PORTION_EVERY_MS = 2;
