/**
 * An intermediate that somebody else's CA has given us, as it stands in a Secret: checked in every
 * respect in which a peer would refuse what it signs. Whatever is wrong is refused by the key's name.
 *
 * Two sets of names are known: those of Istio's `cacerts`, and those that cert-manager writes. The chain
 * is the issuing certificate and the root above it, nothing between: that is all that peers accept.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { MeshError } from '#common/errors.ts';
import { mayCertify, readCertificate, type CertificateFacts } from '#common/tls/certificate.ts';
import { splitPem } from '#common/tls/trust.ts';
import type { Authority } from './state.ts';

/** Contents by key, as text. */
export type GivenFiles = Readonly<Record<string, string>>;

interface Names {
  readonly certificate: string;
  readonly key: string;
  readonly root: string;
}

const ISTIO: Names = { certificate: 'ca-cert.pem', key: 'ca-key.pem', root: 'root-cert.pem' };
const CERT_MANAGER: Names = { certificate: 'tls.crt', key: 'tls.key', root: 'ca.crt' };
const SHORTEST_RSA = 2048;

/** Reads and checks what the Secret `name` holds; throws `CERTIFICATE_INVALID`. */
export function readGiven(name: string, files: GivenFiles, nowMs: number): Authority {
  const refuse = (key: string, found: string, cause?: unknown): MeshError =>
    new MeshError('CERTIFICATE_INVALID', `Cannot use "${key}" of Secret "${name}": ${found}`, {
      cause,
    });
  const names = [ISTIO, CERT_MANAGER].find((one) => Object.hasOwn(files, one.certificate));
  if (names === undefined) {
    throw refuse(ISTIO.certificate, `it is missing, and so is "${CERT_MANAGER.certificate}"`);
  }
  const read = (key: string): CertificateFacts[] => {
    try {
      return splitPem(files[key] ?? '').map(readCertificate);
    } catch (cause) {
      throw refuse(key, 'it cannot be read', cause);
    }
  };
  const checked = (key: string, one: CertificateFacts | undefined): CertificateFacts => {
    const problem = one === undefined ? 'there is no certificate in it' : problemOf(one, nowMs);
    if (one === undefined || problem !== undefined) throw refuse(key, problem ?? '');
    return one;
  };
  const issuing = checked(names.certificate, read(names.certificate)[0]);
  const roots = read(names.root);
  if (roots.length > 1) throw refuse(names.root, `expected one root, found ${roots.length}`);
  const root = checked(names.root, roots[0]);
  if (!issuing.x509.checkIssued(root.x509) || !issuing.x509.verify(root.x509.publicKey)) {
    throw refuse(names.certificate, `it is not signed by the root in "${names.root}"`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(files[names.key] ?? '');
  } catch (cause) {
    throw refuse(names.key, 'it is not a private key in PEM', cause);
  }
  if (!issuing.x509.checkPrivateKey(key)) {
    throw refuse(names.key, `it is not the key of "${names.certificate}"`);
  }
  if (!canSign(key)) throw refuse(names.key, 'expected ECDSA, or RSA of 2048 bits or more');
  return {
    id: root.fingerprint,
    rootPem: pemOf(root),
    rootKeyPem: '',
    issuingPem: pemOf(issuing),
    issuingKeyPem: key.export({ type: 'pkcs8', format: 'pem' }),
  };
}

function problemOf(one: CertificateFacts, nowMs: number): string | undefined {
  if (!one.isCa) return 'it is no CA certificate (CA:TRUE is missing)';
  if (!mayCertify(one)) return 'its key usage does not allow to sign certificates';
  if (nowMs < one.notBeforeMs) return `not valid before ${new Date(one.notBeforeMs).toISOString()}`;
  if (nowMs > one.notAfterMs) return `expired at ${new Date(one.notAfterMs).toISOString()}`;
  return undefined;
}

function canSign(key: KeyObject): boolean {
  if (key.asymmetricKeyType === 'ec') return true;
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return key.asymmetricKeyType === 'rsa' && bits >= SHORTEST_RSA;
}

/** The one certificate, without text that stood around it. */
function pemOf({ x509 }: CertificateFacts): string {
  return x509.toString();
}
