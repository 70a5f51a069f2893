/** Certificate requests as an agent sends them to the controller: exactly ours, or `CERTIFICATE_INVALID`. */
import { generateKeyPairSync } from 'node:crypto';
import { parseIdentity } from '../../../common/identity.ts';
import {
  embed,
  integer,
  oid,
  OID,
  pem,
  sequence,
  set,
  signed,
  tagged,
  uriName,
} from '../../../common/tls/der-write.ts';
import { readRequest } from '../../../common/tls/csr.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateBytes, mutateDer } from '../mutate.ts';

const LABEL = 'CERTIFICATE REQUEST';
const URI = 'spiffe://cluster.local/ns/shop/sa/cart';
const identity = parseIdentity(URI);
if (identity === undefined) throw new TypeError('no identity');
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
/** Signed anew after each change of what is signed, so that the damage is met behind the signature. */
const info = sequence(
  integer(Uint8Array.of(0)),
  sequence(),
  embed(publicKey.export({ type: 'spki', format: 'der' })),
  tagged(0, [sequence(oid(OID.extensionRequest), set(sequence(uriName(identity))))]),
);

const base64Of = (text: string): Buffer =>
  Buffer.from(text.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64');

/** The first part of a request: what was signed. */
function signedPart(der: Buffer): Buffer | undefined {
  const skip = (at: number): number =>
    at + ((der[at + 1] ?? 0) > 0x80 ? 2 + ((der[at + 1] ?? 0) & 3) : 2);
  const from = skip(0);
  const first = der[from + 1] ?? 0;
  const body = skip(from);
  const length =
    first < 0x80
      ? first
      : der.length < body
        ? 0
        : der.readUIntBE(from + 2, Math.max(1, body - from - 2));
  return length > 0 && body + length <= der.length ? der.subarray(from, body + length) : undefined;
}

export const certificateRequests: Decoder = {
  name: 'certificate-requests',
  seeds: [Buffer.from(pem(LABEL, signed(info, privateKey)))],
  mutate(random, from, other) {
    if (random(8) === 0) return mutateBytes(random, from, other);
    const der = base64Of(from.toString('latin1'));
    const part = random(2) === 0 ? undefined : signedPart(der);
    if (part !== undefined) {
      try {
        const changed = signed(embed(mutateDer(random, part, part)), privateKey);
        return Buffer.from(pem(LABEL, changed));
      } catch {
        // What signs takes DER only.
      }
    }
    return Buffer.from(pem(LABEL, mutateDer(random, der, der)));
  },
  run: (input) =>
    outcomeOf(['CERTIFICATE_INVALID'], () => {
      const { uri, publicKey: key } = readRequest(input.toString('latin1'));
      must(key.asymmetricKeyType === 'ec', 'another key');
      must(uri.length < 8192, 'a long URI');
      return 'read';
    }),
};
