/**
 * A mesh update as bytes: what main posts to its data workers, and what an agent keeps on disk.
 *
 * Fifty thousand workloads as objects cost 80 MB in every worker that receives them; packed they are
 * three. What replicas share (shapes, places, texts) is written once. unpack.ts is the other half.
 */
import { isMapped, parseAddress, parseCidr } from '../address.ts';
import { MeshError } from '../errors.ts';
import { ByteWriter } from './bytes.ts';
import * as form from './packed-form.ts';
import type { Match, Policy, PortRange } from './policy.ts';
import type { Service } from './service.ts';
import type { MeshUpdate } from './update.ts';
import type { LocalPod, Workload } from './workload.ts';

/** Packs `update`; throws `OBJECT_INVALID` when an address or a number in it is none. */
export function packUpdate(update: MeshUpdate): Uint8Array<ArrayBuffer> {
  const texts = new Texts();
  const body = new ByteWriter(4096 + 64 * update.workloads.length);
  packWorkloads(body, texts, update.workloads);
  list(body, update.services, (service) => packService(body, texts, service));
  list(body, update.policies, (policy) => packPolicy(body, texts, policy));
  list(body, update.pods, (pod) => packPod(body, texts, pod));
  const { removed } = update;
  for (const keys of [removed.workloads, removed.services, removed.policies, removed.pods]) {
    list(body, keys, (key) => body.text(checkedText(key)));
  }

  const head = new ByteWriter();
  head.raw(form.MAGIC);
  head.byte(form.FORMAT);
  head.byte(update.snapshot ? form.SNAPSHOT_FLAG : 0);
  head.varint(update.version);
  list(head, texts.all(), (text) => head.text(text));
  const front = head.finish();
  const back = body.finish();
  const packed = new Uint8Array(front.length + back.length);
  packed.set(front);
  packed.set(back, front.length);
  return packed;
}

/** Numbers texts by first use. */
class Texts {
  readonly #numbers = new Map<string, number>();

  number(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const next = this.#numbers.size;
    this.#numbers.set(checkedText(text), next);
    return next;
  }

  all(): string[] {
    return Array.from(this.#numbers.keys());
  }
}

/** Rows of numbers, each kept once and known by its place. */
class Rows {
  readonly all: (readonly number[])[] = [];
  readonly #places = new Map<string, number>();

  number(row: readonly number[]): number {
    const key = row.join();
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    this.#places.set(key, this.all.length);
    return this.all.push(row) - 1;
  }
}

function packWorkloads(out: ByteWriter, texts: Texts, workloads: readonly Workload[]): void {
  const places = new Rows();
  const shapes = new Rows();
  const numbered = workloads.map((workload) => ({
    workload,
    place: places.number(placeRow(workload, texts)),
    shape: shapes.number(shapeRow(workload, texts)),
  }));
  for (const { all } of [places, shapes])
    list(out, all, (row) => row.forEach((n) => out.varint(n)));
  list(out, numbered, ({ workload, place, shape }) => {
    const { uid, name } = workload;
    out.text(checkedText(uid, form.UID_MAX_BYTES));
    // Nothing stands for the last part of the uid, as which nearly every name appears there.
    const implied = uid.slice(uid.lastIndexOf('/') + 1) === name;
    if (name === '' && !implied) throw refused(`workload "${uid}"`, 'the name is empty');
    out.text(implied ? '' : checkedText(name, form.UID_MAX_BYTES));
    out.varint(place);
    out.varint(shape);
    out.byte(form.HEALTHS.indexOf(workload.health));
    if (workload.addresses.length > form.ADDRESSES_MAX) {
      throw refused(`workload "${uid}"`, `more than ${form.ADDRESSES_MAX} addresses`);
    }
    list(out, workload.addresses, (address) => packAddress(out, address));
  });
}

function placeRow({ node, cluster, locality }: Workload, texts: Texts): number[] {
  const { region, zone, subzone } = locality;
  return [node, cluster, region, zone, subzone].map((text) => texts.number(text));
}

function shapeRow(workload: Workload, texts: Texts): number[] {
  const { name, memberships, policies } = workload;
  const unlessName = (text: string): number => (text === name ? 0 : texts.number(text) + 1);
  const row = [
    texts.number(workload.namespace),
    texts.number(workload.serviceAccount),
    texts.number(workload.trustDomain),
    texts.number(workload.hostname),
    form.TUNNELS.indexOf(workload.tunnel),
    workload.hostNetwork ? 1 : 0,
    unlessName(workload.canonicalName),
    texts.number(workload.canonicalRevision),
    unlessName(workload.workloadName),
    form.TYPES.indexOf(workload.workloadType),
    checkedNumber(workload.weight, form.WEIGHT_MAX, workload.uid),
    memberships.length,
  ];
  for (const { service, ports } of memberships) {
    row.push(texts.number(service), ports.length);
    for (const { servicePort, targetPort } of ports) row.push(servicePort, targetPort);
  }
  row.push(policies.length, ...policies.map((key) => texts.number(key)));
  return row;
}

function packService(out: ByteWriter, texts: Texts, service: Service): void {
  const text = (value: string): void => out.varint(texts.number(value));
  for (const value of [service.key, service.name, service.namespace, service.hostname]) text(value);
  list(out, service.addresses, (address) => packCidr(out, address));
  list(out, service.ports, (port) => {
    text(port.name);
    out.varint(checkedNumber(port.port, form.PORT_MAX, service.key));
    out.varint(checkedNumber(port.targetPort, form.PORT_MAX, service.key));
    text(port.appProtocol);
  });
  list(out, service.subjectAltNames, text);
  const { algorithm, mode, scopes, clientIpAffinitySeconds } = service.loadBalancing;
  out.byte(form.ALGORITHMS.indexOf(algorithm));
  out.byte(form.MODES.indexOf(mode));
  list(out, scopes, (scope) => out.byte(form.SCOPES.indexOf(scope)));
  out.varint(checkedNumber(clientIpAffinitySeconds, form.AFFINITY_MAX_SECONDS, service.key));
  out.byte(form.VISIBILITIES.indexOf(service.visibility));
  for (const flag of [service.headless, service.publishNotReady, service.canonical]) {
    out.byte(flag ? 1 : 0);
  }
}

function packPolicy(out: ByteWriter, texts: Texts, policy: Policy): void {
  for (const text of [policy.key, policy.name, policy.namespace]) out.varint(texts.number(text));
  out.byte(form.LAYERS.indexOf(policy.layer));
  out.byte(form.POLICY_SCOPES.indexOf(policy.scope));
  out.byte(form.ACTIONS.indexOf(policy.action));
  out.byte(policy.dryRun ? 1 : 0);
  list(out, policy.rules, (rule) => {
    out.varint(texts.number(rule.name));
    list(out, rule.clauses, ({ matches }) =>
      list(out, matches, (match) => packMatch(out, texts, match)),
    );
  });
}

/** Which fields are there goes first, since an empty list is not the same as none. */
function packMatch(out: ByteWriter, texts: Texts, match: Match): void {
  const packText = (text: string): void => out.varint(texts.number(text));
  const packBlock = (text: string): void => packCidr(out, text);
  const packRange = ({ from, to }: PortRange): void => {
    out.varint(checkedNumber(from, form.PORT_MAX, 'port range'));
    out.varint(checkedNumber(to, form.PORT_MAX, 'port range'));
  };
  let present = 0;
  for (const [i, field] of form.MATCH_FIELDS.entries()) {
    if (match[field] !== undefined) present |= 1 << i;
  }
  out.varint(present);
  for (const field of form.TEXT_FIELDS) optionalList(out, match[field], packText);
  for (const field of form.CIDR_FIELDS) optionalList(out, match[field], packBlock);
  for (const field of form.PORT_FIELDS) optionalList(out, match[field], packRange);
}

function packPod(out: ByteWriter, texts: Texts, pod: LocalPod): void {
  for (const text of [pod.uid, pod.podUid, pod.name, pod.namespace, pod.serviceAccount]) {
    out.varint(texts.number(text));
  }
  list(out, pod.addresses, (address) => packAddress(out, address));
  out.byte(pod.enrolled ? 1 : 0);
  out.varint(texts.number(pod.exemption));
  const { options } = pod;
  for (const ports of [options.excludeInboundPorts, options.excludeOutboundPorts]) {
    list(out, ports, (port) => out.varint(checkedNumber(port, form.PORT_MAX, pod.uid)));
  }
  list(out, options.excludeOutboundCidrs, (cidr) => packCidr(out, cidr));
  for (const flag of [options.dnsCapture, options.failClosed, options.cutExisting]) {
    out.byte(flag ? 1 : 0);
  }
}

function packAddress(out: ByteWriter, text: string): void {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw refused(`address "${text}"`, 'it is neither IPv4 nor IPv6');
  packBytes(out, bytes);
}

function packCidr(out: ByteWriter, text: string): void {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw refused(`CIDR "${text}"`, 'it is neither IPv4 nor IPv6');
  packBytes(out, cidr.bytes);
  out.varint(cidr.bits);
}

function packBytes(out: ByteWriter, bytes: Uint8Array): void {
  const four = isMapped(bytes);
  out.byte(four ? 4 : 6);
  out.raw(four ? bytes.subarray(12) : bytes);
}

function list<T>(out: ByteWriter, items: readonly T[], pack: (item: T) => void): void {
  out.varint(items.length);
  for (const item of items) pack(item);
}

function optionalList<T>(
  out: ByteWriter,
  items: readonly T[] | undefined,
  pack: (item: T) => void,
): void {
  if (items !== undefined) list(out, items, pack);
}

function checkedText(text: string, limit = form.TEXT_MAX_BYTES): string {
  // A text of n characters takes at most 3n bytes.
  if (text.length * 3 > limit && new TextEncoder().encode(text).length > limit) {
    throw refused(`text "${text.slice(0, 40)}…"`, `it is longer than ${limit} bytes`);
  }
  return text;
}

function checkedNumber(value: number, limit: number, where: string): number {
  if (!Number.isInteger(value) || value < 0 || value > limit) {
    throw refused(`"${where}"`, `${value} is no whole number from 0 to ${limit}`);
  }
  return value;
}

function refused(what: string, why: string): MeshError {
  return new MeshError('OBJECT_INVALID', `Cannot pack ${what}: ${why}`);
}
