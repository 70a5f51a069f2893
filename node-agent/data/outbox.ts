/**
 * Records on their way to main: in batches, and bounded.
 *
 * Main says in shared memory how many it has taken. When it falls too far behind, records are
 * dropped and counted rather than kept: a worker's memory is for connections.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Timer } from '#common/engine/timers.ts';
import type { FlowTable } from './flow-table.ts';
import * as limits from './limits.ts';
import type { ConnectionRecord } from './record.ts';

export class Outbox implements Task {
  readonly #loop: Loop;
  readonly #table: FlowTable;
  readonly #post: (records: readonly ConnectionRecord[]) => void;
  #batch: ConnectionRecord[] = [];
  #timer: Timer | undefined;
  #posted = 0;

  constructor(loop: Loop, table: FlowTable, post: (records: readonly ConnectionRecord[]) => void) {
    this.#loop = loop;
    this.#table = table;
    this.#post = post;
  }

  add(record: ConnectionRecord): void {
    if (this.#posted - this.#table.recordsTaken() > limits.MOST_RECORDS_WAITING) {
      this.#table.count('recordsDropped');
      return;
    }
    this.#batch.push(record);
    if (this.#batch.length >= limits.MOST_RECORDS_PER_BATCH) this.run();
    else if (this.#batch.length === 1) this.#arm();
  }

  /** Posts what there is. */
  run(): void {
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    this.#batch = [];
    this.#posted += batch.length;
    this.#post(batch);
  }

  #arm(): void {
    if (this.#timer === undefined) {
      this.#timer = this.#loop.timers.after(limits.RECORD_BATCH_MS, this);
    } else this.#loop.timers.rearm(this.#timer, limits.RECORD_BATCH_MS);
  }
}
