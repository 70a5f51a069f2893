/** What a predecessor hands over is checked field by field, and refused with the field's name. */
import { test } from 'tap';
import { decodeUnit } from '../../../node-agent/data/handover-decode.ts';
import {
  BYTES,
  clientTunnelUnit,
  passthroughUnit,
  plainUnit,
  SECRET,
  servedTunnelUnit,
  UNITS,
} from '../../helpers/handover-units.ts';

interface Tree {
  [key: string]: Tree;
}

/** The unit with one field, named by its path, set to something else; undefined takes it away. */
function damaged(unit: object, path: string, value: unknown): string {
  const copy: Tree = JSON.parse(JSON.stringify(unit));
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  const at = steps.reduce((tree, step) => tree[step] ?? {}, copy);
  if (value === undefined) delete at[last];
  else at[last] = JSON.parse(JSON.stringify(value));
  return JSON.stringify(copy);
}

test('decodeUnit() takes every kind of unit as it is', async (t) => {
  for (const [unit, descriptors] of UNITS) {
    t.strictSame(decodeUnit(JSON.stringify(unit), { descriptors, bytes: BYTES }), unit);
  }
});

test('decodeUnit() names the field that is not what it should be', async (t) => {
  const rows: readonly (readonly [object, string, unknown, RegExp])[] = [
    [servedTunnelUnit, 'tunnel.tls.sendSecret', SECRET.slice(4), /tunnel\.tls\.sendSecret/],
    [servedTunnelUnit, 'tunnel.tls.suite', 'rot13', /tunnel\.tls\.suite/],
    [servedTunnelUnit, 'tunnel.tls.suite', 'aes-256-gcm', /as long as its suite wants/],
    [servedTunnelUnit, 'tunnel.tls.sendSequence', -1, /sendSequence/],
    [servedTunnelUnit, 'tunnel.tls.queued', 'not base64!', /tunnel\.tls\.queued/],
    [servedTunnelUnit, 'tunnel.tls.role', 'client', /no server/],
    [servedTunnelUnit, 'tunnel.peer', 'spiffe://cluster.local/ns/shop/sa/cart', /certificate/],
    [servedTunnelUnit, 'tunnel.peer', 'somebody', /tunnel\.peer: expected an identity/],
    [servedTunnelUnit, 'tunnel.source.address', '10.0.0.01', /source\.address/],
    [servedTunnelUnit, 'tunnel.session.sendWindow', 2 ** 31, /sendWindow/],
    [servedTunnelUnit, 'tunnel.session.table.streams.0.id', 3, /twice/],
    [servedTunnelUnit, 'tunnel.session.table.streams.0.id', 5, /not its tunnel's/],
    [servedTunnelUnit, 'tunnel.session.table.ended.0', [1], /ended\[0\]/],
    [servedTunnelUnit, 'tunnel.session.reader.reading', 'tea leaves', /reader\.reading/],
    [servedTunnelUnit, 'tunnel.session.reader', undefined, /session\.reader/],
    [servedTunnelUnit, 'tunnel.hop', {}, /tunnel\.hop: expected no such field/],
    [servedTunnelUnit, 'connections.1', undefined, /connections\[1\]/],
    [servedTunnelUnit, 'connections.0.relay.owed', 0.5, /relay\.owed/],
    [servedTunnelUnit, 'connections.0.flow.elapsedMs', -1, /flow\.elapsedMs/],
    [servedTunnelUnit, 'connections.0.app.fd', 2, /3 descriptors/],
    [servedTunnelUnit, 'connections.0.app.fd', 3, /descriptor/],
    [clientTunnelUnit, 'tunnel.hop.expected', [], /expected/],
    [clientTunnelUnit, 'connections.0.way.kind', 'by sea', /way\.kind: expected a known kind/],
    [clientTunnelUnit, 'connections.1', passthroughUnit.connections[0], /wrong tunnel|descriptors/],
    [plainUnit, 'connections.0.way.server.queued', BYTES + 1, /had queued/],
    [plainUnit, 'connections.0.way.server.queuedAt', 2 ** 53 - 1, /had queued/],
    [plainUnit, 'tunnel', clientTunnelUnit.tunnel, /descriptors/],
    [passthroughUnit, 'connections.0.flow.security', 'some', /flow\.security/],
    [passthroughUnit, 'podUid', 7, /podUid/],
    [passthroughUnit, 'connections', [], /descriptors/],
  ];
  const counts = new Map<object, number>(UNITS);
  for (const [unit, path, value, found] of rows) {
    const beside = { descriptors: counts.get(unit) ?? 0, bytes: BYTES };
    const what = `${path} = ${JSON.stringify(value)?.slice(0, 60)}`;
    t.throws(
      () => decodeUnit(damaged(unit, path, value), beside),
      { code: 'HANDOVER_FAILED', message: found },
      what,
    );
  }
  t.throws(() => decodeUnit('{', { descriptors: 0, bytes: 0 }), { code: 'HANDOVER_FAILED' });
});

test('decodeUnit() quotes no secret', async (t) => {
  for (const field of ['sendSecret', 'receiveSecret', 'leftover', 'queued']) {
    const text = damaged(servedTunnelUnit, `tunnel.tls.${field}`, `${SECRET}!`);
    try {
      decodeUnit(text, { descriptors: 3, bytes: BYTES });
      t.fail(field);
    } catch (error) {
      t.match(String(error), new RegExp(field));
      t.notOk(String(error).includes(SECRET.slice(0, 12)), field);
    }
  }
});
