/**
 * Certificates as a peer may send them: the two walks over DER that decide who somebody is.
 *
 * Neither may throw anything of its own accord, and where both read a certificate they see the same
 * URIs: one decides in the data plane, the other in the control plane.
 */
import { readCertificate as walk } from '../../../common/engine/tls-certificate.ts';
import { peerIdentity, peerOfCertificate } from '../../../common/engine/tls-peer.ts';
import { identityIn, readCertificate } from '../../../common/tls/certificate.ts';
import { issue, makeAuthority, makeLeaf, node } from '../../helpers/pki.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateDer } from '../mutate.ts';

const root = makeAuthority();

function run(input: Buffer): string {
  const found = walk(input);
  const peer = peerOfCertificate(input);
  const identity = peer === undefined ? undefined : peerIdentity(peer);
  for (const uri of found?.uris ?? []) must(/^[\x21-\x7e]{1,2048}$/.test(uri), 'an odd URI');
  must(found === undefined || Number.isSafeInteger(found.notAfter), 'no time');
  return outcomeOf(['CERTIFICATE_INVALID'], () => {
    const facts = readCertificate(input);
    // OpenSSL reads the first certificate and takes no notice of bytes behind it.
    if (found === undefined || facts.x509.raw.length !== input.length) return 'read by one alone';
    must(facts.uris.join('\n') === found.uris.join('\n'), 'they see different URIs');
    must(!found.isAuthority || peer === undefined, 'an authority is taken for a peer');
    const named = identityIn(facts);
    must(named === undefined || identity === undefined || named === identity, 'two identities');
    return 'read';
  });
}

export const certificates: Decoder = {
  name: 'certificates',
  seeds: [
    makeLeaf(root).der,
    root.der,
    makeLeaf(root, { dns: ['cart.shop', 'x'], uris: ['https://a', 'spiffe://b/ns/c/sa/d'] }).der,
    makeLeaf(root, { names: [node(0x87, Buffer.of(127, 0, 0, 1))] }).der,
    issue({ name: 'bare' }).der,
  ],
  mutate: mutateDer,
  run,
  costly: {
    '256 names': makeLeaf(root, { dns: Array.from({ length: 255 }, (_, i) => `${i}`.repeat(40)) })
      .der,
    'one name of 64 KB': makeLeaf(root, { dns: ['x'.repeat(60_000)] }).der,
  },
};
