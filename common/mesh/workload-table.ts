/**
 * All workloads of a view as columns: 150 bytes or so a workload, where an object takes 1,500.
 *
 * A row has its uid, its addresses, its health, and two references: its place (node, locality), and
 * its shape, which is all that the replicas of a deployment have in common. Shapes know their rows
 * and the services that they back, so the endpoints of a service are the rows of a few shapes.
 * Whenever anything of a row changes, the generations of the services behind it rise.
 */
import { formatAddress } from '../address.ts';
import { AddressTable } from './address-table.ts';
import { HEALTHS } from './packed-form.ts';
import type { Place, ShapeFields } from './packed-form.ts';
import { Pool } from './pool.ts';
import type { Pooled } from './pool.ts';
import { UidTable } from './uid-table.ts';
import { packedAddressLength, unpackAddress } from './record-reader.ts';
import { eachInSteps, mapInSteps, type Steps } from './steps.ts';
import type { PackedUpdate, PackedWorkload, Totals } from './unpack.ts';
import type { Health, Workload } from './workload.ts';

const NONE = -1;
/** What a new table may grow by before its columns must. */
const HEADROOM = 1.05;
/** Objects that are kept for the next question about the same row. */
const MATERIALISED_MAX = 1024;

export interface Shape extends ShapeFields, Pooled {
  /** Head of the chain of the rows that have this shape: see `rowsOf`. */
  firstRow: number;
  readonly backings: readonly Backing[];
}

/** What stands behind one service. */
export interface Backing {
  readonly service: string;
  shapes: readonly Shape[];
  /** Rises whenever an endpoint comes, goes or changes. */
  generation: number;
}

interface PooledPlace extends Place, Pooled {}

export class WorkloadTable {
  readonly #uids: UidTable;
  readonly #addresses: AddressTable;
  #shapeOf = new Uint32Array(0);
  #placeOf = new Uint32Array(0);
  #healthOf = new Uint8Array(0);
  #firstAddress = new Int32Array(0);
  /** Neighbours in the chain of the rows of one shape. */
  #nextOfShape = new Int32Array(0);
  #previousOfShape = new Int32Array(0);
  readonly #shapes = new Pool<Shape, ShapeFields>(spellShape);
  readonly #places = new Pool<PooledPlace, Place>(spellPlace);
  readonly #backings = new Map<string, Backing>();
  readonly #materialised = new Map<number, Workload>();

  constructor(expected: Totals = { workloads: 0, addresses: 0, uidBytes: 0 }) {
    this.#uids = new UidTable(expected.workloads, expected.uidBytes);
    this.#addresses = new AddressTable(expected.addresses);
    this.#resize(Math.ceil(expected.workloads * HEADROOM));
  }

  get size(): number {
    return this.#uids.size;
  }

  /** Memory of the columns, without what shapes and places share. */
  get bytes(): number {
    return [
      this.#shapeOf,
      this.#placeOf,
      this.#healthOf,
      this.#firstAddress,
      this.#nextOfShape,
      this.#previousOfShape,
    ].reduce((sum, { byteLength }) => sum + byteLength, this.#uids.bytes + this.#addresses.bytes);
  }

  /** Adds and replaces the workloads of a checked update. */
  *upsert(update: PackedUpdate): Steps<void> {
    const shapes = yield* mapInSteps(update.shapes, (fields) => this.#internShape(fields));
    const places = yield* mapInSteps(update.places, (place) => this.#internPlace(place));
    yield* eachInSteps(update.rows(), (packed) => {
      const [shape, place] = [shapes[packed.shape], places[packed.place]];
      if (shape !== undefined && place !== undefined) {
        this.#put(update.bytes, packed, { shape, place });
      }
    });
    this.#sweep();
  }

  remove(uids: readonly string[]): void {
    for (const uid of uids) {
      const row = this.#uids.find(uid);
      if (row === NONE) continue;
      this.#clear(row);
      this.#uids.remove(row);
    }
    this.#sweep();
  }

  find(uid: string): number | undefined {
    const row = this.#uids.find(uid);
    return row === NONE ? undefined : row;
  }

  /** Lists the rows that are looked up by this address of 16 bytes; host-network ones are not. */
  rowsAt(address: Uint8Array): readonly number[] {
    return this.#addresses.rowsAt(address);
  }

  *rows(): Generator<number> {
    for (let row = 0; row < this.#uids.limit; row += 1) if (this.#uids.has(row)) yield row;
  }

  *rowsOf(shape: Shape): Generator<number> {
    for (let row = shape.firstRow; row !== NONE; row = this.#nextOfShape[row] ?? NONE) yield row;
  }

  backing(service: string): Backing | undefined {
    return this.#backings.get(service);
  }

  uid(row: number): string {
    return this.#uids.uid(row);
  }

  shape(row: number): Shape {
    return this.#shapes.at(this.#shapeOf[row] ?? NONE);
  }

  place(row: number): Place {
    return this.#places.at(this.#placeOf[row] ?? NONE);
  }

  hasAddress(row: number): boolean {
    return this.#firstAddress[row] !== NONE;
  }

  health(row: number): Health {
    return HEALTHS[this.#healthOf[row] ?? NONE] ?? 'terminating';
  }

  /** Returns a row as an object, the same one until the row changes or long goes unasked for. */
  workload(row: number): Workload {
    const ready = this.#materialised.get(row);
    if (ready !== undefined) return ready;
    const workload = this.#materialise(row);
    if (this.#materialised.size >= MATERIALISED_MAX) {
      const [oldest] = this.#materialised.keys();
      if (oldest !== undefined) this.#materialised.delete(oldest);
    }
    this.#materialised.set(row, workload);
    return workload;
  }

  /** The same, for who walks all rows: what he asked for is not kept. */
  workloadInPassing(row: number): Workload {
    return this.#materialised.get(row) ?? this.#materialise(row);
  }

  #materialise(row: number): Workload {
    const uid = this.#uids.uid(row);
    const name = this.#uids.name(row, uid);
    const shape = this.shape(row);
    const { node, cluster, locality } = this.place(row);
    const addresses = this.#addresses.chain(this.#firstAddress[row] ?? NONE);
    return {
      uid,
      name,
      namespace: shape.namespace,
      serviceAccount: shape.serviceAccount,
      trustDomain: shape.trustDomain,
      addresses: addresses.map((bytes) => formatAddress(bytes)),
      hostname: shape.hostname,
      node,
      cluster,
      tunnel: shape.tunnel,
      hostNetwork: shape.hostNetwork,
      canonicalName: shape.canonicalName ?? name,
      canonicalRevision: shape.canonicalRevision,
      workloadName: shape.workloadName ?? name,
      workloadType: shape.workloadType,
      locality,
      weight: shape.weight,
      health: this.health(row),
      memberships: shape.memberships,
      policies: shape.policies,
    };
  }

  #put(
    bytes: Uint8Array,
    packed: Readonly<PackedWorkload>,
    { shape, place }: { shape: Shape; place: PooledPlace },
  ): void {
    const row = this.#rowFor(bytes, packed);
    if (row >= this.#shapeOf.length) this.#resize(Math.ceil((row + 64) * 1.25));
    this.#shapeOf[row] = shape.id;
    this.#placeOf[row] = place.id;
    place.count += 1;
    this.#healthOf[row] = packed.health;
    this.#firstAddress[row] = this.#addAddresses(bytes, packed, row, !shape.hostNetwork);
    this.#nextOfShape[row] = shape.firstRow;
    this.#previousOfShape[row] = NONE;
    if (shape.firstRow !== NONE) this.#previousOfShape[shape.firstRow] = row;
    shape.firstRow = row;
    shape.count += 1;
    for (const backing of shape.backings) backing.generation += 1;
  }

  /** Returns an empty row for a packed workload: its own, if it has been here before. */
  #rowFor(bytes: Uint8Array, packed: Readonly<PackedWorkload>): number {
    const uid = { at: packed.uidAt, length: packed.uidLength };
    const name = { at: packed.nameAt, length: packed.nameLength };
    const old = this.#uids.findBytes(bytes, uid.at, uid.length);
    if (old === NONE) return this.#uids.add(bytes, uid, name);
    this.#clear(old);
    if (name.length === 0 && this.#uids.impliesName(old)) return old;
    this.#uids.remove(old);
    return this.#uids.add(bytes, uid, name);
  }

  #addAddresses(
    bytes: Uint8Array,
    packed: Readonly<PackedWorkload>,
    row: number,
    indexed: boolean,
  ): number {
    const starts: number[] = [];
    for (let i = 0, at = packed.addressesAt; i < packed.addresses; i += 1) {
      starts.push(at);
      at += packedAddressLength(bytes, at);
    }
    return starts.reduceRight(
      (rest, at) => this.#addresses.add(unpackAddress(bytes, at), row, rest, indexed),
      NONE,
    );
  }

  /** Takes a row out of everything but the table of uids. */
  #clear(row: number): void {
    this.#materialised.delete(row);
    this.#addresses.remove(this.#firstAddress[row] ?? NONE);
    this.#places.release(this.#places.at(this.#placeOf[row] ?? NONE));
    const shape = this.shape(row);
    const next = this.#nextOfShape[row] ?? NONE;
    const previous = this.#previousOfShape[row] ?? NONE;
    if (previous === NONE) shape.firstRow = next;
    else this.#nextOfShape[previous] = next;
    if (next !== NONE) this.#previousOfShape[next] = previous;
    this.#shapes.release(shape);
    for (const backing of shape.backings) backing.generation += 1;
  }

  #internShape(fields: ShapeFields): Shape {
    return this.#shapes.intern(fields, (id, hash) => {
      const backings = fields.memberships.map(({ service }) => this.#backingOf(service));
      const shape: Shape = { ...fields, id, hash, count: 0, firstRow: NONE, backings };
      for (const backing of new Set(backings)) backing.shapes = [...backing.shapes, shape];
      return shape;
    });
  }

  #internPlace(fields: Place): PooledPlace {
    return this.#places.intern(fields, (id, hash) => ({ ...fields, id, hash, count: 0 }));
  }

  #backingOf(service: string): Backing {
    const old = this.#backings.get(service);
    if (old !== undefined) return old;
    const backing: Backing = { service, shapes: [], generation: 0 };
    this.#backings.set(service, backing);
    return backing;
  }

  #sweep(): void {
    this.#places.sweep();
    this.#shapes.sweep((shape) => {
      for (const backing of shape.backings) {
        backing.shapes = backing.shapes.filter((one) => one !== shape);
        if (backing.shapes.length === 0) this.#backings.delete(backing.service);
      }
    });
  }

  #resize(capacity: number): void {
    this.#shapeOf = grown(this.#shapeOf, new Uint32Array(capacity));
    this.#placeOf = grown(this.#placeOf, new Uint32Array(capacity));
    this.#healthOf = grown(this.#healthOf, new Uint8Array(capacity));
    this.#firstAddress = grown(this.#firstAddress, new Int32Array(capacity));
    this.#nextOfShape = grown(this.#nextOfShape, new Int32Array(capacity));
    this.#previousOfShape = grown(this.#previousOfShape, new Int32Array(capacity));
  }
}

/** Spells all fields: texts by their length, so that nothing runs together. */
function spellShape(fields: ShapeFields): string {
  const { memberships, policies } = fields;
  const parts = [
    fields.namespace,
    fields.serviceAccount,
    fields.trustDomain,
    fields.hostname,
    fields.tunnel,
    String(fields.hostNetwork),
    // A name that is implied is spelt unlike any that is written out.
    fields.canonicalName === undefined ? '' : `=${fields.canonicalName}`,
    fields.canonicalRevision,
    fields.workloadName === undefined ? '' : `=${fields.workloadName}`,
    fields.workloadType,
    String(fields.weight),
  ];
  for (const { service, ports } of memberships) {
    parts.push(service, ports.map((port) => `${port.servicePort}:${port.targetPort}`).join());
  }
  return [...parts, `${memberships.length}`, ...policies]
    .map((part) => `${part.length} ${part}`)
    .join('');
}

function spellPlace({ node, cluster, locality }: Place): string {
  const { region, zone, subzone } = locality;
  return JSON.stringify([node, cluster, region, zone, subzone]);
}

function grown<T extends { set(from: T): void }>(old: T, array: T): T {
  array.set(old);
  return array;
}
