import { test } from 'tap';
import type { Family } from '#common/address.ts';
import { hashEntries } from '../../../node-agent/capture/legacy-entries.ts';

/** The hash of a whole buffer; its length is a multiple of four. */
function hashOf(bytes: Buffer, family: Family): number {
  return hashEntries(new Int32Array(Uint8Array.from(bytes).buffer), 0, bytes.length, family);
}

/** Two entries as the kernel lays them out, each 200 bytes long. */
function table(next: number): Buffer {
  const bytes = Buffer.alloc(400, 7);
  bytes.writeUInt16LE(200, next);
  bytes.writeUInt16LE(200, 200 + next);
  return bytes;
}

for (const { family, next, counters } of [
  { family: 4, next: 90, counters: 96 },
  { family: 6, next: 142, counters: 152 },
] as const) {
  test(`hashEntries() counts everything but the counters of IPv${family} entries`, async (t) => {
    const bytes = table(next);
    const hash = hashOf(bytes, family);
    for (let at = 0; at < 400; at += 1) {
      const inEntry = at % 200;
      if (inEntry === next || inEntry === next + 1) continue;
      const isCounter = inEntry >= counters && inEntry < counters + 16;
      const changed = Buffer.from(bytes);
      changed.writeUInt8(8, at);
      if ((hashOf(changed, family) === hash) !== isCounter) t.fail(`byte ${at}`);
    }
  });
}

test('hashEntries() ends for entries that make no sense', async (t) => {
  t.type(hashOf(Buffer.alloc(64), 4), 'number');
  t.type(hashOf(Buffer.alloc(400), 6), 'number');
  t.type(hashOf(Buffer.alloc(400, 0xff), 4), 'number');
});
