/**
 * One line per connection, at its end: who, to whom, as whom, how much, how long, and why not.
 *
 * Field names are those of ztunnel's access log (hence the dots), with ours beside them: `code`,
 * `policy`, `rule`, `near_miss`, `flags`, `ending`, `config_version`. What is not known is left out.
 */
import { formatEndpoint } from '#common/address.ts';
import type { Fields } from '#common/log.ts';
import type { ConnectionRecord } from './data/record.ts';

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
    'dst.service': known(record.service.slice(record.service.indexOf('/') + 1)),
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
