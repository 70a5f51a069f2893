/** Addresses of nodes and pods: distinct, inside their prefixes, reused as late as possible. */
import { test } from 'tap';
import { HostNumbers, MOST_NODES, planNode, podAddresses } from '../../../cli/up/addresses.ts';
import { cidrContains, parseAddress, parseCidr } from '../../../common/address.ts';

test('planNode() gives every node prefixes that overlap with nothing else', async (t) => {
  const taken = [parseCidr('10.32.0.0/16'), parseCidr('fd00:32::/112'), parseCidr('10.16.0.0/24')];
  const gateways = new Set<string>();
  for (let number = 1; number <= MOST_NODES; number += 1) {
    const plan = planNode(number);
    gateways.add(plan.gateway4).add(plan.gateway6);
    for (const address of [plan.gateway4, plan.gateway6]) {
      const bytes = parseAddress(address);
      const isFree = bytes !== undefined && taken.every((c) => c && !cidrContains(c, bytes));
      t.ok(isFree, `${address} is nobody else's`);
    }
    const { address4, address6 } = podAddresses(plan, 0x1234);
    for (const [prefix, address] of [
      [plan.pods4, address4],
      [plan.pods6, address6],
    ] as const) {
      const [cidr, bytes] = [parseCidr(prefix), parseAddress(address)];
      t.ok(cidr && bytes && cidrContains(cidr, bytes), `${address} is in ${prefix}`);
    }
  }
  t.equal(gateways.size, 2 * MOST_NODES);
});

test('planNode() refuses a node too many', async (t) => {
  t.throws(() => planNode(MOST_NODES + 1), { code: 'LIMIT_REACHED' });
});

test('take() gives an address that became free only when it comes round again', async (t) => {
  const hosts = new HostNumbers();
  const first = hosts.take();
  hosts.free(first);
  const next = hosts.take();
  t.not(next, first);
});

test('take() never gives an address twice, nor one that ends in .0 or .255', async (t) => {
  const hosts = new HostNumbers();
  const given = Array.from({ length: 2000 }, () => hosts.take());
  t.equal(new Set(given).size, given.length);
  t.notOk(given.some((host) => (host & 255) === 0 || (host & 255) === 255));
});

test('take() says so when every address is in use', async (t) => {
  const hosts = new HostNumbers();
  t.throws(
    () => {
      for (;;) hosts.take();
    },
    { code: 'LIMIT_REACHED' },
  );
});
