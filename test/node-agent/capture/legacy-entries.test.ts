import { test } from 'tap';
import { hashEntries } from '../../../node-agent/capture/legacy-entries.ts';

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
    const hash = hashEntries(bytes, 0, 400, family);
    for (let at = 0; at < 400; at += 1) {
      const inEntry = at % 200;
      if (inEntry === next || inEntry === next + 1) continue;
      const isCounter = inEntry >= counters && inEntry < counters + 16;
      const changed = Buffer.from(bytes);
      changed.writeUInt8(8, at);
      if ((hashEntries(changed, 0, 400, family) === hash) !== isCounter) t.fail(`byte ${at}`);
    }
  });
}

test('hashEntries() ends for entries that make no sense', async (t) => {
  t.type(hashEntries(Buffer.alloc(64), 0, 64, 4), 'number');
  t.type(hashEntries(Buffer.alloc(400), 0, 400, 6), 'number');
  t.type(hashEntries(Buffer.alloc(400, 0xff), 0, 400, 4), 'number');
});
