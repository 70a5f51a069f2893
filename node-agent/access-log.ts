/**
 * One line per connection, at its end: who, to whom, as whom, how much, how long, and why not.
 *
 * Field names are those of ztunnel's access log (hence the dots), with ours beside them: `code`,
 * `policy`, `rule`, `near_miss`, `flags`, `ending`, `config_version`. What is not known is left out.
 */
import { formatEndpoint } from '#common/address.ts';
import type { Fields } from '#common/log.ts';
import type { ConnectionRecord, Party } from './data/record.ts';

/** Makes the fields of the line for one finished connection. */
export function accessFields(record: ConnectionRecord): Fields {
  return {
    'src.addr': formatEndpoint(record.source.address, record.source.port),
    ...party('src', record.source),
    'dst.addr': formatEndpoint(record.destination.address, record.destination.port),
    'dst.hbone_addr': known(record.hboneAddress),
    'dst.service': known(record.service.slice(record.service.indexOf('/') + 1)),
    ...party('dst', record.destination),
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

function party(side: 'src' | 'dst', { workload, namespace, identity, cluster }: Party): Fields {
  return {
    [`${side}.workload`]: known(workload),
    [`${side}.namespace`]: known(namespace),
    [`${side}.identity`]: known(identity),
    [`${side}.cluster`]: known(cluster),
  };
}

function audit({ policy, rule, wouldDeny }: ConnectionRecord['audits'][number]): string {
  return `${wouldDeny ? 'would deny' : 'matched'}: ${policy} ${rule}`;
}

function known(text: string): string | undefined {
  return text === '' ? undefined : text;
}
