/** What an outbound connection says when it has nowhere to go. */
import { formatEndpoint } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';

export function nobody({ address, port }: Endpoint, service: string): MeshError {
  return new MeshError(
    'NO_HEALTHY_ENDPOINT',
    `Cannot reach "${formatEndpoint(address, port)}": no healthy upstream`,
    { details: { service } },
  );
}

export function notResolved(hostname: string): MeshError {
  return new MeshError('NO_HEALTHY_ENDPOINT', `Cannot resolve "${hostname}": no address`);
}
