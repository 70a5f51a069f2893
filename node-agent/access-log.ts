/**
 * One line per connection, at its end: who, to whom, as whom, how much, how long, and why not.
 *
 * Field names are those of ztunnel's access log (hence the dots), with ours beside them: `policy`,
 * `rule`, `near_miss`, `flags`, `config_version`. A field without a value is left out.
 */
import { formatEndpoint } from '#common/address.ts';
import { identityParts, parseIdentity } from '#common/identity.ts';
import type { Fields } from '#common/log.ts';
import type { Workload } from '#common/mesh/workload.ts';
import type { ConnectionRecord, Party } from './data/record.ts';

export type FindWorkload = (uid: string) => Workload | undefined;

/** Makes the fields of the line for one finished connection. */
export function accessFields(record: ConnectionRecord, find: FindWorkload): Fields {
  return {
    ...party('src', record.source, find),
    'dst.addr': formatEndpoint(record.destination.address, record.destination.port),
    'dst.hbone_addr': record.hboneAddress || undefined,
    'dst.service':
      record.service === '' ? undefined : record.service.slice(record.service.indexOf('/') + 1),
    ...party('dst', record.destination, find),
    direction: record.direction,
    bytes_sent: record.bytesSent,
    bytes_recv: record.bytesReceived,
    duration: `${Math.round(record.durationMs)}ms`,
    flags: record.flags === '-' ? undefined : record.flags,
    code: record.error?.code,
    error: record.error?.message,
    policy: record.policy,
    rule: record.rule,
    near_miss: record.nearMiss,
    audit: record.audits?.map(
      ({ policy, rule, wouldDeny }) => `${wouldDeny ? 'would deny' : 'matched'}: ${policy} ${rule}`,
    ),
    config_version: record.version,
  };
}

function party(
  side: 'src' | 'dst',
  { address, port, workload: uid, identity }: Party,
  find: FindWorkload,
): Fields {
  const workload = find(uid);
  const known = parseIdentity(identity);
  return {
    ...(side === 'src' ? { 'src.addr': formatEndpoint(address, port) } : {}),
    [`${side}.workload`]: workload?.name,
    [`${side}.namespace`]:
      workload?.namespace ?? (known === undefined ? undefined : identityParts(known).namespace),
    [`${side}.identity`]: identity || undefined,
    [`${side}.cluster`]: workload?.cluster,
  };
}
