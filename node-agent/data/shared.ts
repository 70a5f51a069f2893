/**
 * What all connections of one worker share: the loop, the world, the keys, the books.
 *
 * Made once by worker.ts. Connections take what they need of it and keep nothing of the world, so a
 * decision is always made on the newest version.
 */
import type { BalanceState } from '#common/decide/balance-state.ts';
import type { Loop } from '#common/engine/loop.ts';
import type { TlsContext } from '#common/engine/tls-context.ts';
import type { Identity } from '#common/identity.ts';
import type { Fields, Level } from '#common/log.ts';
import type { View } from '#common/mesh/view.ts';
import type { FlowDeps } from './flow.ts';
import type { FlowTable } from './flow-table.ts';
import type { LiveConnections } from './live.ts';
import type { ProbeArrival, ProbeToken } from './messages.ts';
import type { Offenders, Peer } from './offenders.ts';

export interface Shared {
  readonly loop: Loop;
  readonly view: View;
  readonly balance: BalanceState;
  readonly table: FlowTable;
  readonly flows: FlowDeps;
  readonly live: LiveConnections;
  readonly contexts: ReadonlyMap<Identity, TlsContext>;
  readonly offenders: Offenders;
  /** A peer broke the rules of HTTP/2: holds it, here and in the other workers. */
  readonly offend: (peer: Peer, reason: string) => void;
  /** Whether the proof has announced this connection; it does so once for each. */
  readonly takeProbe: (token: ProbeToken) => boolean;
  readonly tellProbe: (arrival: ProbeArrival) => void;
  /** Resolves a name of a ServiceEntry; the answer comes later, empty when there is none. */
  readonly resolve: (hostname: string, answer: (addresses: readonly string[]) => void) => void;
  readonly log: (level: Level, message: string, fields: Fields) => void;
}
