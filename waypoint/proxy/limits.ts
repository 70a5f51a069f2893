/** Every bound of a waypoint, with its reason; docs/limits.md has them for people. */

/** How much one read of a socket asks for, and how many in a row before others get their turn. */
export const READ_BYTES = 128 * 1024;
export const READS_PER_TURN = 8;

/** Up to this size content is copied behind its head, so that both leave in one send. */
export const COPIED_BODY_BYTES = 16 * 1024;

/** When so much waits for a receiver its sender is not read, until less than the second is left. */
export const HIGH_WATER_BYTES = 256 * 1024;
export const LOW_WATER_BYTES = 64 * 1024;

/** A head must be whole so long after its first byte, and the first byte of a new connection come. */
export const HEAD_TIMEOUT_MS = 10_000;

/** A connection between two requests. Clients close theirs earlier as a rule. */
export const IDLE_TIMEOUT_MS = 75_000;

/** A client that neither sends nor takes anything in the middle of a request. */
export const STALL_TIMEOUT_MS = 120_000;

/** An unused connection to an endpoint: shorter than what servers usually keep. */
export const UPSTREAM_IDLE_MS = 45_000;

export const CONNECT_TIMEOUT_MS = 5000;

/** Connections of clients end at an age between this and a tenth more, so that replicas stay even. */
export const MAX_AGE_MS = 600_000;

/** To one endpoint for one source, per worker. */
export const MOST_CONNECTIONS = 1024;

/** Kept unused, per endpoint, source and worker. */
export const MOST_IDLE = 256;

/** Streams that a client may have open in one HTTP/2 connection. */
export const MAX_STREAMS = 1000;

/** Streams of one link: each is a connection of somebody. */
export const LINK_STREAMS = 10_000;

/** How often connections are looked at for what they may have run out of. */
export const TICK_MS = 1000;

/** A link that is lost is dialled again after so long. */
export const REDIAL_MS = 500;

/** What we add to a head at most: framing, connection, forwarded. */
export const HEAD_SPARE_BYTES = 4096;
