/** Trust in a tunnel ends with the peer's certificate, with our own, and with a root of the time. */
import { test } from 'tap';
import { createTlsContext } from '#common/engine/tls-context.ts';
import { TunnelTrust } from '../../../node-agent/data/tunnel-trust.ts';
import { chainPem, makeAuthority, makeLeaf } from '../../helpers/pki.ts';

const [old, young] = [makeAuthority('old'), makeAuthority('young')];

function contextUnder(...roots: readonly (typeof old)[]) {
  const leaf = makeLeaf(old);
  return createTlsContext({
    chainPem: chainPem(leaf),
    keyPem: leaf.keyPem,
    rootsPem: roots.map(({ pem }) => pem),
  });
}

test("holds() is false from the moment at which the peer's certificate expires", async (t) => {
  const context = contextUnder(old);
  const trust = new TunnelTrust({ notAfter: 1000 }, context);
  t.equal(trust.holds(context, 999), true);
  t.equal(trust.holds(context, 1000), false);
});

test('holds() is false while there is no certificate of our own', async (t) => {
  const trust = new TunnelTrust({ notAfter: 1000 }, contextUnder(old));
  t.equal(trust.holds(undefined, 0), false);
});

test('holds() is true through a renewal, and ends when a root of the time is gone', async (t) => {
  const trust = new TunnelTrust({ notAfter: 1000 }, contextUnder(old));
  t.equal(trust.holds(contextUnder(old), 0), true, 'a renewal');
  t.equal(trust.holds(contextUnder(old, young), 0), true, 'a rotation begins');
  t.equal(trust.holds(contextUnder(young), 0), false, 'and ends');
});
