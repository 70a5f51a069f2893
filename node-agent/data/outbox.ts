/**
 * Records on their way to main: in batches, and bounded.
 *
 * Main says in shared memory how many it has taken. When it falls too far behind, records are
 * dropped and counted rather than kept: a worker's memory is for connections.
 */
import type { Loop, Task } from '#common/engine/loop.ts';
import type { Timer } from '#common/engine/timers.ts';
import type { FlowTable } from './flow-table.ts';
import { accessLine } from './access-line.ts';
import type { AccessLog } from './access-line.ts';
import * as limits from './limits.ts';
import type { ConnectionRecord } from './record.ts';

/** What is posted at once. */
export interface Ended {
  readonly count: number;
  /** Of the access log, joined; '' when there are none. */
  readonly lines: string;
  /** JSON of those records by which main counts, or of all where no access log was asked for. */
  readonly records: string;
}

export class Outbox implements Task {
  readonly #loop: Loop;
  readonly #table: FlowTable;
  readonly #accessLog: AccessLog | undefined;
  readonly #post: (ended: Ended) => void;
  #count = 0;
  #lines: string[] = [];
  #records: ConnectionRecord[] = [];
  #timer: Timer | undefined;
  #posted = 0;

  constructor(
    loop: Loop,
    table: FlowTable,
    accessLog: AccessLog | undefined,
    post: (ended: Ended) => void,
  ) {
    this.#loop = loop;
    this.#table = table;
    this.#accessLog = accessLog;
    this.#post = post;
  }

  add(record: ConnectionRecord): void {
    if (this.#posted - this.#table.recordsTaken() > limits.MOST_RECORDS_WAITING) {
      this.#table.count('recordsDropped');
      return;
    }
    const log = this.#accessLog;
    if (log === undefined || isCounted(record)) this.#records.push(record);
    if (log !== undefined && log.format !== 'off') this.#lines.push(accessLine(record, log));
    this.#count += 1;
    if (this.#count >= limits.MOST_RECORDS_PER_BATCH) this.run();
    else if (this.#count === 1) this.#arm();
  }

  /** Posts what there is. */
  run(): void {
    const count = this.#count;
    if (count === 0) return;
    const lines = this.#lines.join('\n');
    const records = this.#records.length === 0 ? '' : JSON.stringify(this.#records);
    this.#count = 0;
    this.#lines = [];
    this.#records = [];
    this.#posted += count;
    this.#post({ count, lines, records });
  }

  #arm(): void {
    if (this.#timer === undefined) {
      this.#timer = this.#loop.timers.after(limits.RECORD_BATCH_MS, this);
    } else this.#loop.timers.rearm(this.#timer, limits.RECORD_BATCH_MS);
  }
}

/** Whether main counts by it; see PolicyVerdicts. */
function isCounted({ policy, audits }: ConnectionRecord): boolean {
  return policy !== '' || audits.length > 0;
}
