import { test } from 'tap';
import { cutConnections, parseConnections } from '../../../node-agent/capture/connections.ts';

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 20 4 30 10 -1
   1: 0A00410A:1F90 0A00420A:D431 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0A00410A:1F91 0A00420A:D432 06 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4 1 0 100 0 0 10 0
`;
const TCP6 = `  sl  local_address                         remote_address                        st
   0: 010000FD00000000000000000A000000:0050 020000FD00000000000000000B000000:9C40 01 0
   1: 0000000000000000FFFF00000A00410A:0050 0000000000000000FFFF00000A00420A:9C40 01 0
   2: 00000000000000000000000001000000:0050 00000000000000000000000001000000:9C40 01 0
`;

test('parseConnections() lists established connections, loopback left out', async (t) => {
  t.strictSame(parseConnections(TCP), [{ local: '10.65.0.10:8080', peer: '10.66.0.10:54321' }]);
});

test('parseConnections() reads IPv6 and IPv4 on an IPv6 socket', async (t) => {
  t.strictSame(parseConnections(TCP6), [
    { local: '[fd00:1::a]:80', peer: '[fd00:2::b]:40000' },
    { local: '10.65.0.10:80', peer: '10.66.0.10:40000' },
  ]);
});

test('parseConnections() takes any text', async (t) => {
  t.strictSame(parseConnections('nonsense\n 0: ZZ:1 \n'), []);
});

test('cutConnections() names every connection, some hundred at a time', async (t) => {
  const connections = Array.from({ length: 450 }, (_, i) => ({
    local: `10.0.0.1:${i + 1}`,
    peer: '10.0.0.2:80',
  }));
  const asked: string[] = [];
  const count = await cutConnections(
    async ({ args }) => {
      asked.push(args.at(-1) ?? '');
      return 'a line\n';
    },
    3,
    connections,
  );
  t.equal(count, 3);
  t.equal(asked.join(' ').match(/src/g)?.length, connections.length);
  const idle = async (): Promise<string> => {
    throw new Error('there is nothing to cut');
  };
  t.equal(await cutConnections(idle, 3, []), 0);
});
