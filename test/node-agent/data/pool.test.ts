/** The pool's four promises, with tunnels that do what the test says. */
import { test } from 'tap';
import { MeshError } from '../../../common/errors.ts';
import { identityOf } from '../../../common/identity.ts';
import * as limits from '../../../node-agent/data/limits.ts';
import { TunnelPool, type Hop } from '../../../node-agent/data/pool.ts';

class FakeTunnel {
  readonly hop: Hop;
  max: number;
  open = 0;
  retired = false;
  constructor(hop: Hop, max: number) {
    this.hop = hop;
    this.max = max;
  }
  room(): number {
    return this.max - this.open;
  }
  streams(): number {
    return this.open;
  }
  retire(): void {
    this.retired = true;
  }
}

interface Got {
  tunnel?: FakeTunnel;
  error?: MeshError;
}

const client = identityOf('cluster.local', 'shop', 'web');
const server = identityOf('cluster.local', 'shop', 'cart');
const other = identityOf('cluster.local', 'shop', 'pay');
const hop: Hop = { identity: client, expected: [server], address: '10.65.0.10', port: 15008 };

function setUp(max = 100) {
  const clock = { now: 1000 };
  const made: FakeTunnel[] = [];
  const pool = new TunnelPool<FakeTunnel>(
    (to) => {
      const tunnel = new FakeTunnel(to, max);
      made.push(tunnel);
      return tunnel;
    },
    () => clock.now,
  );
  const seek = (to = hop): Got => {
    const got: Got = {};
    pool.acquire(to, {
      onTunnel(tunnel) {
        tunnel.open += 1;
        got.tunnel = tunnel;
      },
      onNoTunnel(error) {
        got.error = error;
      },
    });
    return got;
  };
  const end = (tunnel: FakeTunnel): void => {
    tunnel.open -= 1;
    pool.freed(tunnel);
  };
  return { pool, made, seek, end, clock };
}

function the(made: readonly FakeTunnel[], at: number): FakeTunnel {
  const tunnel = made[at];
  if (tunnel === undefined) throw new RangeError(`only ${made.length} tunnels were opened`);
  return tunnel;
}

test('acquire() opens one tunnel for all who come while it is being opened', async (t) => {
  const { pool, made, seek } = setUp();
  const seekers = Array.from({ length: 50 }, () => seek());
  t.equal(made.length, 1);
  t.ok(seekers.every((got) => got.tunnel === undefined));
  pool.opened(the(made, 0));
  t.ok(seekers.every((got) => got.tunnel === made[0]));
  t.equal(seek().tunnel, made[0], 'later ones have it at once');
});

test('acquire() never fills a tunnel above its room, and opens the next one (V18)', async (t) => {
  const { pool, made, seek } = setUp(100);
  const seekers = Array.from({ length: 101 }, () => seek());
  pool.opened(the(made, 0));
  t.equal(the(made, 0).open, 100);
  t.equal(made.length, 2, 'somebody still waits');
  pool.opened(the(made, 1));
  t.equal(the(made, 1).open, 1);
  t.ok(seekers.every((got) => got.tunnel !== undefined));
});

test('freed() offers a full tunnel again', async (t) => {
  const { pool, made, seek, end } = setUp(1);
  seek();
  pool.opened(the(made, 0));
  end(the(made, 0));
  t.equal(seek().tunnel, made[0]);
  t.equal(made.length, 1);
});

test('freed() serves somebody who waits for another tunnel', async (t) => {
  const { pool, made, seek, end } = setUp(1);
  seek();
  pool.opened(the(made, 0));
  const second = seek();
  t.equal(made.length, 2);
  end(the(made, 0));
  t.equal(second.tunnel, made[0]);
});

test('acquire() shares nothing between identities, expectations or hops', async (t) => {
  const { pool, made, seek } = setUp();
  const hops: Hop[] = [
    hop,
    { ...hop, identity: other },
    { ...hop, expected: [other] },
    { ...hop, expected: [server, other] },
    { ...hop, address: '10.65.0.11' },
    { ...hop, port: 15009 },
  ];
  const got = hops.map((to) => seek(to));
  t.equal(made.length, hops.length);
  for (const tunnel of made) pool.opened(tunnel);
  t.strictSame(
    got.map(({ tunnel }) => tunnel?.hop),
    hops,
  );
});

test('retire() hands a tunnel out no more and leaves its streams alone (V19)', async (t) => {
  const { pool, made, seek, end } = setUp();
  seek();
  pool.opened(the(made, 0));
  pool.retire(the(made, 0));
  t.ok(the(made, 0).retired);
  seek();
  t.equal(made.length, 2);
  pool.opened(the(made, 1));
  end(the(made, 0));
  t.equal(seek().tunnel, made[1], 'not the retired one, though it has room');
});

test('lost() tells those who waited for the tunnel why, and only those', async (t) => {
  const { pool, made, seek } = setUp();
  const waiting = seek();
  const elsewhere = seek({ ...hop, address: '10.65.0.99' });
  pool.lost(the(made, 0), new MeshError('CONNECT_FAILED', 'Cannot connect: refused'));
  t.equal(waiting.error?.code, 'CONNECT_FAILED');
  t.equal(elsewhere.error, undefined);
  t.equal(pool.size, 1);
  seek();
  t.equal(made.length, 3, 'the next one tries anew');
});

test('opened() fails those who wait when the peer allows no streams', async (t) => {
  const { pool, made, seek } = setUp(0);
  const got = seek();
  pool.opened(the(made, 0));
  t.equal(got.error?.code, 'LIMIT_REACHED');
  t.ok(the(made, 0).retired);
  t.equal(made.length, 1, 'and opens no further tunnel');
});

test('cancel() forgets a seeker', async (t) => {
  const { pool, made } = setUp();
  const seeker = {
    onTunnel: () => t.fail('was cancelled'),
    onNoTunnel: () => t.fail('was cancelled'),
  };
  pool.acquire(hop, seeker);
  pool.cancel(hop, seeker);
  pool.opened(the(made, 0));
  t.equal(the(made, 0).open, 0);
});

test('sweep() retires what was idle too long and nothing else', async (t) => {
  const { pool, made, seek, end, clock } = setUp();
  seek();
  seek({ ...hop, address: '10.65.0.11' });
  for (const tunnel of made) pool.opened(tunnel);
  end(the(made, 0));
  clock.now += limits.TUNNEL_IDLE_MS - 1;
  pool.sweep();
  t.notOk(the(made, 0).retired);
  clock.now += 2;
  pool.sweep();
  t.ok(the(made, 0).retired);
  t.notOk(the(made, 1).retired, 'it has a stream');
});

test('acquire() starts the idle time of a tunnel anew', async (t) => {
  const { pool, made, seek, end, clock } = setUp();
  seek();
  pool.opened(the(made, 0));
  end(the(made, 0));
  clock.now += limits.TUNNEL_IDLE_MS - 1;
  seek();
  end(the(made, 0));
  clock.now += 2;
  pool.sweep();
  t.notOk(the(made, 0).retired);
});

test('freed() keeps a bounded number of idle tunnels, the last used ones', async (t) => {
  const { pool, made, seek, end } = setUp();
  for (let i = 0; i <= limits.MOST_IDLE_TUNNELS; i += 1) {
    seek({ ...hop, port: 20_000 + i });
    pool.opened(the(made, i));
    end(the(made, i));
  }
  t.ok(the(made, 0).retired);
  t.notOk(the(made, 1).retired);
});

test('acquire() lets a bounded number of connections wait', async (t) => {
  const { seek } = setUp();
  for (let i = 0; i < limits.MOST_WAITING; i += 1) seek();
  t.equal(seek().error?.code, 'LIMIT_REACHED');
});

test('drain() refuses whoever comes, fails whoever waits, retires the rest', async (t) => {
  const { pool, made, seek } = setUp();
  const open = seek();
  pool.opened(the(made, 0));
  const waiting = seek({ ...hop, port: 1 });
  pool.drain();
  t.equal(waiting.error?.code, 'STOPPING');
  t.equal(seek().error?.code, 'STOPPING');
  t.ok(open.tunnel?.retired);
});
