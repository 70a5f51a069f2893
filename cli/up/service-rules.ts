/**
 * Service addresses for those whom the mesh does not carry: what kube-proxy does in a cluster.
 *
 * Connections of captured pods never come here: their agent picks the endpoint. For the others the
 * node rewrites the service's address to one of its ready endpoints, each as likely. Pure: a rule set
 * as `iptables-restore --noflush` reads it, the same text for the same services.
 */
import type { Service } from '#common/mesh/service.ts';
import type { Workload } from '#common/mesh/workload.ts';

/** Chains whose names begin with PLUMB_ are the agent's, which keeps them as it wants them. */
export const SERVICE_CHAIN = 'UP_SERVICES';

/** Once for each node, before the first rules: makes the chain and leads to it. */
export const SERVICE_CHAIN_SETUP = [
  '*nat',
  `:${SERVICE_CHAIN} - [0:0]`,
  `-A PREROUTING -j ${SERVICE_CHAIN}`,
  `-A OUTPUT -j ${SERVICE_CHAIN}`,
  'COMMIT',
  '',
].join('\n');

export function serviceRules(
  services: readonly Service[],
  workloads: readonly Workload[],
  family: 4 | 6,
): string {
  const rules = services.flatMap((service) => rulesOf(service, workloads, family));
  return ['*nat', `:${SERVICE_CHAIN} - [0:0]`, ...rules, 'COMMIT', ''].join('\n');
}

function rulesOf(service: Service, workloads: readonly Workload[], family: 4 | 6): string[] {
  const addresses = service.addresses.filter(
    (address) => isOf(address, family) && !address.includes('/'),
  );
  return service.ports.flatMap(({ port, targetPort }) => {
    const endpoints = workloads.flatMap((workload) =>
      endpointOf(workload, { service, port, targetPort, family }),
    );
    return addresses.flatMap((address) =>
      endpoints.map((endpoint, i) => {
        const left = endpoints.length - i;
        const share =
          left === 1 ? '' : ` -m statistic --mode random --probability ${(1 / left).toFixed(10)}`;
        const to = `-j DNAT --to-destination ${endpoint}`;
        return `-A ${SERVICE_CHAIN} -d ${address} -p tcp -m tcp --dport ${port}${share} ${to}`;
      }),
    );
  });
}

function endpointOf(
  workload: Workload,
  to: {
    readonly service: Service;
    readonly port: number;
    readonly targetPort: number;
    readonly family: 4 | 6;
  },
): string[] {
  const membership = workload.memberships.find((one) => one.service === to.service.key);
  if (membership === undefined) return [];
  const usable =
    workload.health === 'ready' || (workload.health === 'not-ready' && to.service.publishNotReady);
  const address = workload.addresses.find((one) => isOf(one, to.family));
  const mapped = membership.ports.find(({ servicePort }) => servicePort === to.port)?.targetPort;
  const port = mapped ?? to.targetPort;
  if (!usable || address === undefined || port === 0) return [];
  return [to.family === 6 ? `[${address}]:${port}` : `${address}:${port}`];
}

function isOf(address: string, family: 4 | 6): boolean {
  return address.includes(':') === (family === 6);
}
