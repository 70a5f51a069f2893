/**
 * S7, pool confusion: connections of 50 identities to 50 peers, with tunnels that close, fail, are
 * retired and restart at random. No connection may ever get a tunnel that was opened for another
 * identity, another peer or another hop. `PLUMB_POOL_CONNECTIONS=1000000` is the full count.
 */
import { test } from 'tap';
import { MeshError } from '#common/errors.ts';
import { identityOf, type Identity } from '#common/identity.ts';
import { TunnelPool, type Hop } from '../../../node-agent/data/pool.ts';
import { pick, seeded } from '../../fuzz/random.ts';

const CONNECTIONS = Number(process.env['PLUMB_POOL_CONNECTIONS'] ?? 50_000);
const IDENTITIES = 50;
const STREAMS = 7;

interface Tunnel {
  readonly hop: Hop;
  open: number;
  room(): number;
  streams(): number;
  retire(): void;
}

/** What a hop says, apart from the pool's own key: a list of all its fields, unambiguously. */
const spell = ({ identity, expected, address, port }: Hop): string =>
  JSON.stringify([identity, [...expected], address, port]);

function hopOf(random: (below: number) => number, identities: readonly Identity[]): Hop {
  const peer = random(identities.length);
  const expected = [identities[peer] ?? pick(random, identities)];
  // Now and then two identities are accepted, as for a ServiceEntry; the order is part of the hop.
  if (random(10) === 0) expected.push(pick(random, identities));
  return {
    identity: pick(random, identities),
    expected,
    // Few addresses for many peers: an address changes its owner all the time.
    address: `10.0.0.${random(8)}`,
    port: random(20) === 0 ? 15_009 : 15_008,
  };
}

test(`${CONNECTIONS} connections of 50 identities never share a tunnel`, async (t) => {
  const random = seeded(Number(process.env['SEED'] ?? 1));
  const identities = Array.from({ length: IDENTITIES }, (_, i) =>
    identityOf('cluster.local', `ns-${i % 7}`, `sa-${i}`),
  );
  const opening: Tunnel[] = [];
  const live: Tunnel[] = [];
  const held: Tunnel[] = [];
  const seen = { given: 0, failed: 0, mismatches: 0, shared: 0, opened: 0 };
  let now = 0;
  const pool = new TunnelPool<Tunnel>(
    (hop) => {
      const tunnel: Tunnel = {
        hop,
        open: 0,
        room: () => STREAMS - tunnel.open,
        streams: () => tunnel.open,
        retire: () => undefined,
      };
      opening.push(tunnel);
      seen.opened += 1;
      return tunnel;
    },
    () => now,
  );
  const take = (list: Tunnel[]): Tunnel | undefined => {
    const at = random(list.length);
    const found = list[at];
    const last = list.pop();
    if (found !== last && last !== undefined) list[at] = last;
    return found;
  };
  const lose = (tunnel: Tunnel | undefined): void => {
    if (tunnel === undefined) return;
    for (let i = held.length - 1; i >= 0; i -= 1) if (held[i] === tunnel) held.splice(i, 1);
    tunnel.open = 0;
    pool.lost(tunnel, new MeshError('TUNNEL_LOST', 'Cannot go on: the test has cut it'));
  };
  for (let i = 0; i < CONNECTIONS; i += 1) {
    now += random(50);
    const hop = hopOf(random, identities);
    pool.acquire(hop, {
      onTunnel(tunnel) {
        seen.given += 1;
        seen.shared += Number(tunnel.open > 0);
        if (spell(tunnel.hop) !== spell(hop)) seen.mismatches += 1;
        tunnel.open += 1;
        held.push(tunnel);
      },
      onNoTunnel: () => (seen.failed += 1),
    });
    const what = random(100);
    if (what < 60 || opening.length > 200) {
      const tunnel = take(opening);
      if (tunnel !== undefined && random(20) > 0) {
        live.push(tunnel);
        pool.opened(tunnel);
      } else lose(tunnel);
    }
    if (what % 2 === 0 || held.length > 500) {
      const tunnel = take(held);
      if (tunnel !== undefined) {
        tunnel.open -= 1;
        pool.freed(tunnel);
      }
    }
    if (what > 95 || live.length > 600) lose(take(live));
    if (what === 50 && live.length > 0) pool.retire(pick(random, live));
    if (what === 51) pool.sweep();
  }
  t.equal(seen.mismatches, 0);
  t.ok(seen.shared > CONNECTIONS / 500, `${seen.shared} joined a tunnel that was in use`);
  t.ok(seen.given > CONNECTIONS / 2, JSON.stringify(seen));
});
