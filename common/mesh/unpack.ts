/**
 * The other half of pack.ts: bytes back to a mesh update, checked whole before any of it is used.
 *
 * What is few comes as objects. Workloads, which are many, are only walked: `rows` shows one after
 * another in a row that it uses again, and once `readUpdate` has returned it cannot fail.
 */
import { ByteReader, invalid } from './bytes.ts';
import type { Place, ShapeFields } from './packed-form.ts';
import * as form from './packed-form.ts';
import { RecordReader, readList, skipAddress } from './record-reader.ts';
import { atOnce, eachInSteps, PER_STEP, type Steps } from './steps.ts';
import type { MeshUpdate } from './update.ts';

/** One workload inside the packed bytes; valid until the next one is shown. */
export interface PackedWorkload {
  uidAt: number;
  uidLength: number;
  /** 0 when the name is what stands behind the last `/` of the uid. */
  nameAt: number;
  nameLength: number;
  place: number;
  shape: number;
  health: number;
  addresses: number;
  /** Four or sixteen bytes each, behind a byte that says which. */
  addressesAt: number;
}

export interface PackedUpdate extends Omit<MeshUpdate, 'workloads'> {
  readonly bytes: Uint8Array;
  readonly places: readonly Place[];
  readonly shapes: readonly ShapeFields[];
  readonly totals: Totals;
  rows(): Iterable<Readonly<PackedWorkload>>;
}

/** What the workloads of an update come to, so that tables may be made large enough at once. */
export interface Totals {
  readonly workloads: number;
  readonly addresses: number;
  readonly uidBytes: number;
}

/** Whether a packed update, if it is one, is a snapshot. */
export function isSnapshot(bytes: Uint8Array): boolean {
  return bytes[form.MAGIC.length + 1] === form.SNAPSHOT_FLAG;
}

/** Reads and checks a packed update; throws `MESSAGE_INVALID`. */
export function readUpdate(bytes: Uint8Array): PackedUpdate {
  return atOnce(readingUpdate(bytes));
}

/** The same, step by step. */
export function* readingUpdate(bytes: Uint8Array): Steps<PackedUpdate> {
  if (bytes.length > form.PACKED_MAX_BYTES) throw invalid('it is too large');
  const input = new ByteReader(bytes);
  if (form.MAGIC.some((byte) => input.byte() !== byte)) throw invalid('it does not begin as one');
  const format = input.byte();
  if (format !== form.FORMAT) throw invalid(`its format is ${format}, not ${form.FORMAT}`);
  const flags = input.bounded(form.SNAPSHOT_FLAG, 'the flags');
  const version = input.varint();
  const texts = yield* readingList(input, 'texts', () => input.text(form.TEXT_MAX_BYTES));
  const read = new RecordReader(input, texts);
  const places = yield* readingList(input, 'places', () => read.place());
  const shapes = yield* readingList(input, 'shapes', () => read.shape());
  const workloadCount = input.count('workloads');
  const workloadsAt = input.at;
  const bounds = { count: workloadCount, places: places.length, shapes: shapes.length };
  const totals = { workloads: workloadCount, addresses: 0, uidBytes: 0 };
  yield* eachInSteps(walkWorkloads(input, bounds), ({ addresses, uidLength, nameLength }) => {
    totals.addresses += addresses;
    totals.uidBytes += uidLength + nameLength;
  });
  const services = yield* readingList(input, 'services', () => read.service());
  const policies = yield* readingList(input, 'policies', () => read.policy());
  const pods = readList(input, 'pods', () => read.pod());
  const keys = (): string[] => readList(input, 'keys', () => input.text(form.TEXT_MAX_BYTES));
  const removed = { workloads: keys(), services: keys(), policies: keys(), pods: keys() };
  input.end();
  return {
    bytes,
    version,
    snapshot: flags === form.SNAPSHOT_FLAG,
    places,
    shapes,
    totals,
    rows: () => walkWorkloads(new ByteReader(bytes, workloadsAt), bounds),
    services,
    policies,
    pods,
    removed,
  };
}

interface WorkloadBounds {
  readonly count: number;
  readonly places: number;
  readonly shapes: number;
}

function* readingList<T>(input: ByteReader, what: string, item: () => T): Steps<T[]> {
  const items: T[] = [];
  for (let left = input.count(what); left > 0; left -= 1) {
    items.push(item());
    if (left % PER_STEP === 0) yield;
  }
  return items;
}

function* walkWorkloads(
  input: ByteReader,
  bounds: WorkloadBounds,
): Generator<Readonly<PackedWorkload>, void> {
  const row: PackedWorkload = {
    uidAt: 0,
    uidLength: 0,
    nameAt: 0,
    nameLength: 0,
    place: 0,
    shape: 0,
    health: 0,
    addresses: 0,
    addressesAt: 0,
  };
  for (let i = 0; i < bounds.count; i += 1) {
    row.uidLength = input.bounded(form.UID_MAX_BYTES, 'the length of a uid');
    row.uidAt = input.skip(row.uidLength);
    row.nameLength = input.bounded(form.UID_MAX_BYTES, 'the length of a name');
    row.nameAt = input.skip(row.nameLength);
    row.place = input.bounded(bounds.places - 1, 'a place');
    row.shape = input.bounded(bounds.shapes - 1, 'a shape');
    row.health = input.bounded(form.HEALTHS.length - 1, 'a health');
    row.addresses = input.bounded(form.ADDRESSES_MAX, 'the number of addresses');
    row.addressesAt = input.at;
    for (let n = 0; n < row.addresses; n += 1) skipAddress(input);
    yield row;
  }
}
