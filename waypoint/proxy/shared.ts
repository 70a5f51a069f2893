/** What all connections of one worker share. */
import type { Loop } from '#common/engine/loop.ts';
import type { Stage } from '#common/engine/tls-stage.ts';
import type { Fields as LogFields, Level } from '#common/log.ts';
import type { Counters } from './counters.ts';
import type { Pools } from './pools.ts';
import type { Router } from './router.ts';
import type { Sweep } from './sweep.ts';
import type { Destination } from './router.ts';
import type { Wire, WireOwner } from './wire.ts';

export interface Shared {
  readonly loop: Loop;
  /** Where messages wait for the end of the pass. */
  readonly stage: Stage;
  readonly counters: Counters;
  readonly sweep: Sweep;
  readonly pools: Pools;
  /** The one in force; it may be another for the next request. */
  router: Router;
  /** No new requests are wanted: connections end when they can. */
  isDraining: boolean;
  /** Begins to connect to an endpoint for this source; undefined when that cannot even begin. */
  readonly dial: (to: Destination, source: string, owner: WireOwner) => Wire | undefined;
  readonly log: (level: Level, message: string, fields: LogFields) => void;
}
