/** Somebody who buys, again and again, and says how it went: the load of the demonstration. */
import { setTimeout as delay } from 'node:timers/promises';
import { call, endOnSigterm } from './serve.ts';

const url = process.env['SHOP'] ?? 'http://web/checkout/customer';
const everyMs = Number(process.env['EVERY_MS'] ?? 250);
let bought = 0;
let failed = 0;
endOnSigterm(() => process.exit(0));

for (;;) {
  try {
    await call(url);
    bought += 1;
    if (bought % 20 === 1) console.log(`bought ${bought}, failed ${failed}`);
  } catch (error) {
    failed += 1;
    console.log(`failed ${failed}: ${reasonOf(error)}`);
  }
  await delay(everyMs);
}

/** One attempt for each address fails with a list of errors. */
function reasonOf(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(String).join(', ') : String(error);
}
