/**
 * Bytes of the kernel that a pod can influence: the entries of a legacy table, and rtnetlink's answers
 * about rules, routes and addresses.
 * Both are followed within bounds, and always to an end.
 */
import { canonicalAddress } from '../../../common/address.ts';
import { hashEntries } from '../../../node-agent/capture/legacy-entries.ts';
import { changeRequest, listRequest, parseReply } from '../../../node-agent/capture/rtnetlink.ts';
import { addressesRequest, parseAddresses } from '../../../node-agent/pods/address-messages.ts';
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
    const words = new Int32Array(Uint8Array.from(input.subarray(0, input.length & ~3)).buffer);
    const results = ([4, 6] as const).map((family) => {
      const hash = hashEntries(words, 0, words.byteLength, family);
      must((hash | 0) === hash, 'no hash');
      return hash === hashEntries(words, 0, words.byteLength, family);
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

/** One RTM_NEWADDR of an interface that is not `lo`. */
export function addressMessage(family: 2 | 10, bytes: Buffer, index = 2, scope = 0): Buffer {
  const message = Buffer.alloc(28 + bytes.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(20, 4);
  message[16] = family;
  message[19] = scope;
  message.writeUInt32LE(index, 20);
  message.writeUInt16LE(4 + bytes.length, 24);
  message.writeUInt16LE(1, 26);
  bytes.copy(message, 28);
  return message;
}

const addresses = Buffer.concat([
  addressMessage(2, Buffer.from([10, 0, 0, 1])),
  addressMessage(10, Buffer.from('fd000000000000000000000000000001', 'hex')),
  addressMessage(2, Buffer.from([127, 0, 0, 1]), 1),
]);

export const rtnetlinkAddresses: Decoder = {
  name: 'rtnetlink-addresses',
  seeds: [addresses, addressesRequest()],
  mutate: mutateBytes,
  run(input) {
    const { addresses: found, error, isLast } = parseAddresses(input);
    must(found.length <= input.length / 24, 'more addresses than there are messages');
    must(
      found.every((text) => canonicalAddress(text) === text),
      'an address that is not canonical',
    );
    must(isLast || error === 0, 'an error that ends nothing');
    return 'read';
  },
  costly: {
    addresses: Buffer.concat(Array.from({ length: 700 }, () => addresses)),
  },
  // An address becomes text, and is spelled again here.
  budgetMs: 20,
};
