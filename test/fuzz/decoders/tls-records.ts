/**
 * What `TlsReader` makes of records: those of a peer with valid keys who breaks rules, and plain rubbish.
 *
 * An input is a list of records, each behind a head of four bytes: what it is (0 to 3 sealed, with that
 * many hundred bytes of padding; 4 raw), its content type, its length. Sealing follows KeyUpdates.
 */
import { TlsReader } from '../../../common/engine/tls-reader.ts';
import { nextSecret, recordKeys } from '../../../common/engine/tls-secrets.ts';
import { RecordCipher } from '../../../common/sys/record-cipher.ts';
import { newSlab } from '../../../common/sys/slab.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';
import { noise, pick, type Random } from '../random.ts';

const SUITE = 'aes-128-gcm';
const SECRET = Buffer.alloc(32, 7);
const RAW = 4;
const MOST_CONTENT = 20_000;
const UPDATE_HEAD = Buffer.from([24, 0, 0, 1]);
const wire = newSlab(1 << 18);
const plain = newSlab(1 << 18);
const scratch = newSlab(MOST_CONTENT + 400);

interface Record {
  readonly how: number;
  readonly type: number;
  readonly content: Buffer;
}

function* recordsIn(input: Buffer): Generator<Record> {
  for (let at = 0; at + 4 <= input.length;) {
    const end = at + 4 + Math.min(input.readUInt16BE(at + 2), MOST_CONTENT);
    const how = (input[at] ?? 0) % 5;
    yield { how, type: input[at + 1] ?? 0, content: input.subarray(at + 4, end) };
    at = end;
  }
}

const record = (type: number, content: string | Buffer | readonly number[], how = 0): Buffer => {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from([how, type, bytes.length >> 8, bytes.length & 255]), bytes]);
};

/** Writes the records to the wire, and returns where they end. */
function write(input: Buffer): number {
  let secret: Buffer = SECRET;
  let cipher = sealer(secret);
  let end = 0;
  for (const { how, type, content } of recordsIn(input)) {
    if (end + content.length + 500 > wire.bytes.length) break;
    if (how === RAW) {
      end += content.copy(wire.bytes, end);
      continue;
    }
    const length = content.copy(scratch.bytes) + 1 + 100 * how;
    scratch.bytes.fill(0, content.length, length);
    scratch.bytes[content.length] = type;
    wire.bytes.set([23, 3, 3, (length + 16) >> 8, (length + 16) & 255], end);
    end += cipher.seal(scratch, 0, length, wire, end);
    if (type !== 22 || !content.subarray(0, 4).equals(UPDATE_HEAD) || content.length !== 5)
      continue;
    secret = nextSecret(SUITE, secret);
    cipher.free();
    cipher = sealer(secret);
  }
  cipher.free();
  return end;
}

function sealer(secret: Buffer): RecordCipher {
  const { key, iv } = recordKeys(SUITE, secret);
  return new RecordCipher('seal', key, iv);
}

function run(input: Buffer): string {
  const end = write(input.length === 0 ? record(23, 'x') : input);
  let handed = 0;
  const sink = {
    onPlain: (bytes: Buffer, from: number, to: number) => {
      must(bytes === plain.bytes && from >= 0 && from < to && to <= bytes.length, 'bad bounds');
      handed += to - from;
    },
    onAlert: (level: number, alert: number) => must(level < 256 && alert < 256, 'no alert'),
    onKeyUpdate: () => undefined,
  };
  const role = end % 2 === 0 ? 'server' : 'client';
  const reader = new TlsReader({ role, suite: SUITE, secret: SECRET, sequence: 0, sink });
  try {
    return outcomeOf(['TLS_FAILURE'], () => {
      const rest = reader.consume(wire, 0, end, plain);
      must(rest <= end && handed <= rest, 'more came out than went in');
      return rest === end && reader.atBoundary ? 'read' : 'part of a record is left';
    });
  } finally {
    reader.free();
  }
}

const KEY_UPDATE = [24, 0, 0, 1, 0];
const TYPES = [20, 21, 22, 23, 24, 0, 255];

function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(5) === 0) return mutateBytes(random, from, other);
  const records = [...recordsIn(from)].map(({ how, type, content }) => record(type, content, how));
  const at = random(records.length + 1);
  const many = random(16) === 0 ? 70 : 1;
  const fresh = (): Buffer => {
    switch (random(8)) {
      case 0:
        return record(22, KEY_UPDATE);
      case 1:
        return record(22, [
          pick(random, [4, 24, 20, 13, 1]),
          0,
          0,
          random(12),
          ...noise(random, 12),
        ]);
      case 2:
        return record(21, [1 + random(2), pick(random, [0, 90, 20, random(256)])]);
      case 3:
        return record(23, noise(random, 20), RAW);
      case 4:
        return record(
          pick(random, TYPES),
          Buffer.alloc((random(4) * 16_385) % 20_000, 1),
          random(4),
        );
      default:
        return record(pick(random, TYPES), noise(random, 60), random(4));
    }
  };
  if (random(6) === 0) records.splice(at, 1);
  else if (random(4) === 0 && records[at] !== undefined) {
    records[at] = mutateBytes(random, records[at], other);
  } else records.splice(at, 0, ...Array.from({ length: many }, fresh));
  return Buffer.concat(records.slice(0, 100));
}

export const tlsRecords: Decoder = {
  name: 'tls-records',
  seeds: [
    record(23, 'hello'),
    Buffer.concat([record(23, 'one', 2), record(23, ''), record(21, [1, 0])]),
    Buffer.concat([record(22, KEY_UPDATE), record(23, 'after')]),
    Buffer.concat([record(23, 'x'), record(22, [24, 0]), record(22, [0, 1, 1])]),
  ],
  mutate,
  run,
  // Sealing is part of each run here, and is most of it.
  budgetMs: 4,
  costly: {
    'one byte in each record': Buffer.concat(Array.from({ length: 3000 }, () => record(23, 'x'))),
    'a KeyUpdate in each second record': Buffer.concat(
      Array.from({ length: 60 }, () => Buffer.concat([record(22, KEY_UPDATE), record(23, 'x')])),
    ),
  },
};
