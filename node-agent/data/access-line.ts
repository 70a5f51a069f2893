/**
 * One line per connection, at its end: who, to whom, as whom, how much, how long, and why not. Pure.
 *
 * Field names are those of ztunnel's access log (hence the dots), with ours beside them: `code`,
 * `policy`, `rule`, `near_miss`, `flags`, `ending`, `config_version`. What is not known is left out.
 * Lines are made where the connection ends, so that nothing but text crosses to the main thread.
 */
import { formatEndpoint } from '#common/address.ts';
import type { Fields } from '#common/log.ts';
import { textLine } from '#common/log.ts';
import type { ConnectionRecord, Party } from './record.ts';

export interface AccessLog {
  readonly format: 'json' | 'text' | 'off';
  /** Name of this node. */
  readonly node: string;
}

/** Spells the line for a finished connection, without its end. */
export function accessLine(record: ConnectionRecord, { format, node }: AccessLog): string {
  const level = record.error === undefined ? 'info' : 'error';
  const message = record.error === undefined ? 'connection complete' : 'connection failed';
  const time = timeOf(record.start + record.durationMs);
  if (format === 'text') {
    return textLine(time, level, message, { log: 'access', node, ...accessFields(record) });
  }
  return `{"time":"${time}","level":"${level}","message":"${message}","log":"access","node":${quoted(node)}${jsonFields(record)}}`;
}

let lastMs = -1;
let lastTime = '';

function timeOf(ms: number): string {
  const whole = Math.round(ms);
  if (whole !== lastMs) lastTime = new Date(whole).toISOString();
  lastMs = whole;
  return lastTime;
}

/** As `accessFields`, in JSON and without an object: a line a connection is much on a busy node. */
function jsonFields(record: ConnectionRecord): string {
  const { source, destination, error, audits } = record;
  return (
    jsonParty('src', source) +
    `,"dst.addr":"${formatEndpoint(destination.address, destination.port)}"` +
    (record.hboneAddress === '' ? '' : `,"dst.hbone_addr":${JSON.stringify(record.hboneAddress)}`) +
    member('dst.service', serviceName(record.service)) +
    jsonNames('dst', destination) +
    `,"direction":"${record.direction}","bytes_sent":${record.bytesSent},"bytes_recv":${record.bytesReceived}` +
    `,"duration":"${Math.round(record.durationMs)}ms","security":"${record.security}","ending":"${record.ending}"` +
    (record.flag === '-' ? '' : `,"flags":"${record.flag}"`) +
    (error === undefined
      ? ''
      : `,"code":"${error.code}","error":${JSON.stringify(error.message)}`) +
    member('policy', record.policy) +
    member('rule', record.rule) +
    member('near_miss', record.nearMiss) +
    (audits.length === 0 ? '' : `,"audit":${JSON.stringify(audits.map(audit))}`) +
    (record.retries === 0 ? '' : `,"retries":${record.retries}`) +
    (record.traceId === '' ? '' : `,"trace_id":${JSON.stringify(record.traceId)}`) +
    `,"config_version":${record.version}`
  );
}

function jsonParty(side: 'src' | 'dst', party: Party): string {
  return `,"${side}.addr":"${formatEndpoint(party.address, party.port)}"${jsonNames(side, party)}`;
}

function jsonNames(side: 'src' | 'dst', { workload, namespace, identity, cluster }: Party): string {
  return (
    member(`${side}.workload`, workload) +
    member(`${side}.namespace`, namespace) +
    member(`${side}.identity`, identity) +
    member(`${side}.cluster`, cluster)
  );
}

function member(name: string, value: string): string {
  return value === '' ? '' : `,"${name}":${quoted(value)}`;
}

const MOST_QUOTED = 4_096;
const quotedTexts = new Map<string, string>();

/** JSON of a text that comes again and again: names, identities, policies. */
function quoted(value: string): string {
  const found = quotedTexts.get(value);
  if (found !== undefined) return found;
  if (quotedTexts.size >= MOST_QUOTED) quotedTexts.clear();
  const made = JSON.stringify(value);
  quotedTexts.set(value, made);
  return made;
}

function serviceName(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

/** Makes the fields of the line for one finished connection. */
export function accessFields(record: ConnectionRecord): Fields {
  const { source, destination } = record;
  return {
    'src.addr': formatEndpoint(source.address, source.port),
    'src.workload': known(source.workload),
    'src.namespace': known(source.namespace),
    'src.identity': known(source.identity),
    'src.cluster': known(source.cluster),
    'dst.addr': formatEndpoint(destination.address, destination.port),
    'dst.hbone_addr': known(record.hboneAddress),
    'dst.service': known(serviceName(record.service)),
    'dst.workload': known(destination.workload),
    'dst.namespace': known(destination.namespace),
    'dst.identity': known(destination.identity),
    'dst.cluster': known(destination.cluster),
    direction: record.direction,
    bytes_sent: record.bytesSent,
    bytes_recv: record.bytesReceived,
    duration: `${Math.round(record.durationMs)}ms`,
    security: record.security,
    ending: record.ending,
    flags: record.flag === '-' ? undefined : record.flag,
    code: record.error?.code,
    error: record.error?.message,
    policy: known(record.policy),
    rule: known(record.rule),
    near_miss: known(record.nearMiss),
    audit: record.audits.length === 0 ? undefined : record.audits.map(audit),
    retries: record.retries === 0 ? undefined : record.retries,
    trace_id: known(record.traceId),
    config_version: record.version,
  };
}

function audit({ policy, rule, wouldDeny }: ConnectionRecord['audits'][number]): string {
  return `${wouldDeny ? 'would deny' : 'matched'}: ${policy} ${rule}`;
}

function known(text: string): string | undefined {
  return text === '' ? undefined : text;
}
