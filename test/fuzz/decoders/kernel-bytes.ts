/**
 * Bytes of the kernel that a pod can influence: the entries of a legacy table, and rtnetlink's answers.
 * Both are followed within bounds, and always to an end.
 */
import { hashEntries } from '../../../node-agent/capture/legacy-entries.ts';
import { changeRequest, listRequest, parseReply } from '../../../node-agent/capture/rtnetlink.ts';
import { must, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';

const LAYOUT = { 4: { next: 90, bytes: 112 }, 6: { next: 142, bytes: 168 } } as const;
const MARK = { mark: 0x411, mask: 0xfff };

/** Entries with their targets and matches behind their heads. */
function entries(family: 4 | 6, lengths: readonly number[]): Buffer {
  const { next, bytes } = LAYOUT[family];
  return Buffer.concat(
    lengths.map((length) => {
      const entry = Buffer.alloc(bytes + length, length);
      entry.writeUInt16LE(entry.length, next);
      return entry;
    }),
  );
}

export const legacyEntries: Decoder = {
  name: 'legacy-entries',
  seeds: [entries(4, [40, 48, 120]), entries(6, [40, 48, 120]), entries(4, [0])],
  mutate: mutateBytes,
  run(input) {
    const bytes = Buffer.from(input.subarray(0, input.length & ~3));
    const results = ([4, 6] as const).map((family) => {
      const hash = hashEntries(bytes, 0, bytes.length, family);
      must(hash >= 0 && hash < 2 ** 32, 'no hash');
      return hash === hashEntries(bytes, 0, bytes.length, family);
    });
    must(results.every(Boolean), 'two hashes of the same bytes');
    return 'read';
  },
  costly: {
    'entries that say they are empty': Buffer.alloc(65_536),
    'the smallest entries': entries(
      4,
      Array.from({ length: 580 }, () => 0),
    ),
  },
};

const reply = Buffer.concat([
  changeRequest('rule', 'add', { family: 4, ...MARK }),
  changeRequest('route', 'add', { family: 6, ...MARK }),
]);

export const rtnetlink: Decoder = {
  name: 'rtnetlink',
  seeds: [reply, listRequest('rule', 4), listRequest('route', 6)],
  mutate: mutateBytes,
  run(input) {
    const { ours, error, isLast } = parseReply(input, MARK);
    must(ours >= 0 && ours <= input.length / 16, 'more of ours than there are messages');
    must(isLast || error === 0, 'an error that ends nothing');
    return 'read';
  },
  costly: {
    'small messages': Buffer.concat(
      Array.from({ length: 4096 }, () => Buffer.from([16, 0, 0, 0, 32, ...Buffer.alloc(11)])),
    ),
    rules: Buffer.concat(Array.from({ length: 1000 }, () => reply)),
  },
};
