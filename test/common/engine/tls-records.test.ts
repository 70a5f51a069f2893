/** The record layer: the vectors of RFC 8448, KeyUpdate both ways, and its state as plain data. */
import { randomBytes } from 'node:crypto';
import { test } from 'tap';
import { TlsConnection } from '#common/engine/tls-connection.ts';
import { nextSecret, recordKeys } from '#common/engine/tls-secrets.ts';
import { RecordCipher } from '#common/sys/record-cipher.ts';
import { newSlab } from '#common/sys/slab.ts';
import {
  contextOf,
  makeLoop,
  nodeClient,
  nodeServer,
  nodeSettings,
  openClient,
  Recorder,
  serve,
  turn,
} from '../../helpers/engine.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** RFC 8448 section 3, "Simple 1-RTT Handshake". */
const CLIENT_SECRET = hex('9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5');
const SERVER_SECRET = hex('a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643');
const CLIENT_DATA = hex(`1703030043 a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819
  a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4`);
const PAYLOAD = Buffer.from(Array.from({ length: 50 }, (_, i) => i));

test('recordKeys() gives the keys of RFC 8448', async (t) => {
  const client = recordKeys('aes-128-gcm', CLIENT_SECRET);
  t.equal(client.key.toString('hex'), '17422dda596ed5d9acd890e3c63f5051');
  t.equal(client.iv.toString('hex'), '5b78923dee08579033e523d9');
  const server = recordKeys('aes-128-gcm', SERVER_SECRET);
  t.equal(server.key.toString('hex'), '9f02283b6c9c07efc26bb9f2ac92e356');
  t.equal(server.iv.toString('hex'), 'cf782b88dd83549aadf1e984');
});

test('RecordCipher seals and opens the application record of RFC 8448', async (t) => {
  const { key, iv } = recordKeys('aes-128-gcm', CLIENT_SECRET);
  const plain = newSlab(64);
  PAYLOAD.copy(plain.bytes);
  plain.bytes[PAYLOAD.length] = 23;
  const wire = newSlab(128);
  CLIENT_DATA.copy(wire.bytes, 0, 0, 5);
  const seal = new RecordCipher('seal', key, iv);
  const length = seal.seal(plain, 0, PAYLOAD.length + 1, wire, 0);
  t.equal(wire.bytes.toString('hex', 0, length), CLIENT_DATA.toString('hex'));
  const opened = newSlab(128);
  const open = new RecordCipher('open', key, iv);
  t.ok(open.open(wire, 0, CLIENT_DATA.length - 5, opened, 0));
  t.equal(opened.bytes.toString('hex', 0, 50), PAYLOAD.toString('hex'));
  t.notOk(open.open(wire, 0, CLIENT_DATA.length - 5, opened, 0), 'the same record again');
  seal.free();
  open.free();
});

test('RecordCipher counts past 2^32 records without a nonce of before', async (t) => {
  const { key, iv } = recordKeys('aes-256-gcm', randomBytes(48));
  const plain = newSlab(16);
  const wire = newSlab(64);
  wire.bytes.fill(0, 0, 5);
  const sealed = [0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 33 + 1].map((sequence) => {
    const seal = new RecordCipher('seal', key, iv, sequence);
    const length = seal.seal(plain, 0, 4, wire, 0);
    const opened = new RecordCipher('open', key, iv, sequence);
    t.ok(opened.open(wire, 0, length - 5, newSlab(64), 0));
    t.equal(opened.sequence, sequence + 1);
    return wire.bytes.toString('hex', 0, length);
  });
  t.equal(new Set(sealed).size, sealed.length);
});

test('nextSecret() keeps the length of its hash', async (t) => {
  t.equal(nextSecret('aes-128-gcm', randomBytes(32)).length, 32);
  t.equal(nextSecret('aes-256-gcm', randomBytes(48)).length, 48);
});

for (const suite of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384']) {
  test(`TlsConnection and Node change keys again and again under ${suite}`, async (t) => {
    const loop = makeLoop(t);
    const settings = { ...nodeSettings(), ciphers: suite, ALPNProtocols: ['h2'] };
    const port = await nodeServer(t, settings, (socket) => socket.pipe(socket));
    // Every third record has new keys of ours; a request makes Node change its own as well.
    const { conn, owner } = openClient(loop, contextOf(t), port, { recordsPerKey: 3 });
    t.after(() => conn.destroy());
    const sent = randomBytes(3 << 20);
    owner.onSecured = () => owner.send(sent);
    let requests = 0;
    await turn(
      loop,
      () => {
        const due = owner.receivedBytes > requests * 500_000 && requests < 5;
        if (due) conn.updateKeys(true);
        if (due) requests += 1;
        return owner.receivedBytes >= sent.length || owner.closed > 0;
      },
      'the echo',
    );
    t.equal(owner.error, undefined);
    t.ok(owner.received.equals(sent));
    t.equal(requests, 5);
    const state = conn.state();
    t.ok((state?.sendSequence ?? 99) <= 3, 'our key is young');
    const first = state?.receiveSecret;
    conn.updateKeys(true);
    owner.send(Buffer.from('x'));
    await turn(loop, () => owner.receivedBytes > sent.length, 'one more byte');
    t.not(conn.state()?.receiveSecret, first, 'Node has changed its keys');
  });
}

test('TlsConnection answers the KeyUpdate request of another of ours, on the server side', async (t) => {
  const loop = makeLoop(t);
  const context = contextOf(t);
  const server = serve(t, loop, context);
  const { conn, owner } = openClient(loop, context, server.port);
  t.after(() => conn.destroy());
  await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
  const before = conn.state();
  conn.updateKeys(true);
  owner.send(Buffer.from('to you'));
  await turn(loop, () => server.owners[0]?.receivedBytes === 6, 'the message');
  server.owners[0]?.send(Buffer.from('and back'));
  await turn(loop, () => owner.receivedBytes === 8, 'the answer');
  const after = conn.state();
  t.not(after?.sendSecret, before?.sendSecret);
  t.not(after?.receiveSecret, before?.receiveSecret);
  t.equal(after?.receiveSecret, server.conns[0]?.state()?.sendSecret);
});

test('TlsConnection goes on elsewhere from its state, in the middle of traffic', async (t) => {
  const loop = makeLoop(t);
  const context = contextOf(t);
  const server = serve(t, loop, context);
  const client = nodeClient(t, server.port, nodeSettings());
  const heard: Buffer[] = [];
  client.on('data', (chunk: Buffer) => heard.push(chunk));
  await turn(loop, () => server.owners[0]?.peer !== undefined, 'the handshake');
  let [conn] = server.conns;
  let owner = server.owners[0];
  let said = '';
  for (let round = 0; round < 5; round += 1) {
    client.write(`round ${round};`);
    said += `round ${round};`;
    await turn(loop, () => (owner?.receivedBytes ?? 0) > 0, 'a round');
    const text = owner?.received.toString() ?? '';
    owner?.send(Buffer.from(text));
    const fd = conn?.fd ?? -1;
    const state = conn?.release();
    if (state === undefined) throw new Error('there must be a state');
    const plain: unknown = JSON.parse(JSON.stringify(state));
    t.strictSame(plain, state, 'it is plain data');
    owner = new Recorder();
    conn = owner.use(
      new TlsConnection({
        loop,
        fd,
        role: 'server',
        context: state,
        owner,
        handshakeTimeoutMs: 1000,
      }),
    );
    server.conns.push(conn);
  }
  await turn(loop, () => Buffer.concat(heard).length === said.length, 'all answers');
  t.equal(Buffer.concat(heard).toString(), said);
  t.equal(server.owners[0]?.closed, 0, 'the first owner hears no more of it');
});
