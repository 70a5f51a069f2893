/**
 * DNS as the capture answers it: any bytes are a question that we may answer, or are left alone; what
 * we answer repeats the question, fits, and is a message that a reader can follow.
 */
import { answerOf } from '../../../node-agent/data/dns-answer.ts';
import { readQuestion, writeAnswer, writeFailure } from '../../../node-agent/data/dns-message.ts';
import { backs, replicas, service, viewOf } from '../../helpers/mesh-build.ts';
import { must, type Decoder } from '../decoder.ts';
import { mutateBytes } from '../mutate.ts';
import { noise, pick, type Random } from '../random.ts';

const cart = service('cart', { addresses: ['10.32.0.1', 'fd10::1'] });
const many = service('many', { headless: true });
const view = viewOf({
  services: [cart, many, service('any', { hostname: '*.example.com', addresses: ['10.9.9.9'] })],
  workloads: replicas('many', { count: 120, prefix: '10.0.7.', ...backs(many) }),
});
const asker = { namespace: 'shop', clusterDomain: 'cluster.local' };

function query(name: string, type: number, more: readonly number[] = []): Buffer {
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label)]));
  const head = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, more.length > 0 ? 1 : 0]);
  return Buffer.concat([head, ...labels, Buffer.from([0, 0, type, 0, 1, ...more])]);
}

/** Follows an answer as a resolver would; returns how many records it has. */
function follow(answer: Uint8Array, from: number): number {
  const bytes = Buffer.from(answer);
  let at = from;
  let records = 0;
  for (; at < bytes.length; records += 1) {
    must(
      (bytes[at] ?? 0) >= 0xc0 && (bytes.readUInt16BE(at) & 0x3fff) < at,
      'a name that leads on',
    );
    at += 12 + bytes.readUInt16BE(at + 10);
  }
  must(at === bytes.length, 'the answer has no end');
  return records;
}

function run(input: Buffer): string {
  const question = readQuestion(input);
  if (question === undefined) return 'left alone';
  must(question.end <= input.length && question.name.length <= 255, 'a question out of bounds');
  must(question.udpBytes >= 512 && question.udpBytes <= 4096, 'an odd size');
  const failure = writeFailure(input, question);
  must(failure.length === question.end, 'a failure with records');
  const answer = answerOf(view, asker, question, () => 0);
  if (answer === undefined) return 'read, not ours';
  const bytes = writeAnswer(input, question, { ...answer, mostBytes: question.udpBytes });
  must(bytes.length <= question.udpBytes, 'it does not fit');
  must(input.compare(bytes, 12, question.end, 12, question.end) === 0, 'another question');
  must(Buffer.from(bytes).readUInt16BE(6) === follow(bytes, question.end), 'records are missing');
  return 'read';
}

const OPT = [0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0];
const NAMES = [
  'cart.shop.svc.cluster.local',
  'cart.shop',
  'cart',
  'many.shop.svc.cluster.local',
  'CaRt.shop.svc.cluster.local.shop.svc.cluster.local',
  'a.b.example.com',
];

function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(3) > 0) return mutateBytes(random, from, other);
  const labels = Array.from({ length: random(12) }, () =>
    random(3) === 0 ? noise(random, 64).toString('latin1') : pick(random, NAMES),
  );
  const type = pick(random, [1, 28, 5, 255, 16]);
  return query(
    [...labels, pick(random, NAMES)].join('.').slice(0, 300),
    type,
    random(2) === 0 ? [] : OPT,
  );
}

export const dns: Decoder = {
  name: 'dns',
  seeds: NAMES.flatMap((name) => [query(name, 1), query(name, 28, OPT)]),
  mutate,
  run,
  costly: {
    'a message of 64 KB': Buffer.concat([query('cart.shop', 1, OPT), Buffer.alloc(65_000)]),
    'the longest name': query(Array.from({ length: 120 }, () => 'a').join('.'), 1),
  },
};
