/**
 * Certificates for tests, good and bad, written in DER by hand.
 *
 * Written apart from the product's own code on purpose: what is wrong in both places would
 * otherwise look right.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export interface Keys {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export interface Issued extends Keys {
  readonly name: string;
  readonly der: Buffer;
  readonly pem: string;
  readonly keyPem: string;
}

export interface IssueOptions {
  readonly name?: string;
  readonly issuer?: Issued;
  readonly keys?: Keys;
  /** Undefined leaves the extension out. */
  readonly authority?: boolean;
  readonly uris?: readonly string[];
  readonly dns?: readonly string[];
  /** Further general names, in DER. */
  readonly names?: readonly Buffer[];
  readonly usages?: readonly ('clientAuth' | 'serverAuth')[];
  /** Further extensions, in DER. */
  readonly extensions?: readonly Buffer[];
  /** Seconds from now. */
  readonly from?: number;
  readonly until?: number;
}

export const ecKeys = (curve = 'P-256'): Keys => generateKeyPairSync('ec', { namedCurve: curve });
export const rsaKeys = (bits: number): Keys => generateKeyPairSync('rsa', { modulusLength: bits });
export const ed25519Keys = (): Keys => generateKeyPairSync('ed25519');

export function makeAuthority(name = 'root', options: IssueOptions = {}): Issued {
  return issue({ name, authority: true, ...options });
}

export function makeLeaf(issuer: Issued, options: IssueOptions = {}): Issued {
  return issue({
    issuer,
    authority: false,
    uris: ['spiffe://cluster.local/ns/shop/sa/cart'],
    usages: ['serverAuth', 'clientAuth'],
    ...options,
  });
}

/** The PEM of a leaf and what stands between it and the root. */
export function chainPem(...certificates: readonly Issued[]): string {
  return certificates.map(({ pem }) => pem).join('');
}

export function issue(options: IssueOptions): Issued {
  const keys = options.keys ?? ecKeys();
  const name = options.name ?? '';
  const signer = options.issuer ?? { ...keys, name };
  const algorithm = algorithmOf(signer.privateKey);
  const now = Math.floor(Date.now() / 1000);
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    distinguished(signer.name),
    sequence(time(now + (options.from ?? -60)), time(now + (options.until ?? 3600))),
    distinguished(name),
    keys.publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions(options, name))),
  );
  const hash = signer.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const der = sequence(tbs, algorithm, bits(sign(hash, tbs, signer.privateKey)));
  const body = der.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  return {
    ...keys,
    name,
    der,
    pem: `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`,
    keyPem: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }),
  };
}

function extensions(options: IssueOptions, name: string): Buffer[] {
  const made: Buffer[] = [];
  if (options.authority !== undefined) {
    const flag = options.authority ? [node(0x01, Buffer.from([0xff]))] : [];
    made.push(extension('551d13', true, sequence(...flag)));
  }
  // keyCertSign and cRLSign; or digitalSignature.
  const usage = options.authority === true ? [1, 0x06 | 0x80] : [7, 0x80];
  made.push(extension('551d0f', true, node(0x03, Buffer.from(usage))));
  if (options.usages !== undefined && options.usages.length > 0) {
    const oids = { serverAuth: '2b06010505070301', clientAuth: '2b06010505070302' };
    const list = options.usages.map((purpose) => node(0x06, Buffer.from(oids[purpose], 'hex')));
    made.push(extension('551d25', false, sequence(...list)));
  }
  const names = [
    ...(options.uris ?? []).map((uri) => node(0x86, Buffer.from(uri, 'latin1'))),
    ...(options.dns ?? []).map((dns) => node(0x82, Buffer.from(dns))),
    ...(options.names ?? []),
  ];
  if (names.length > 0) made.push(extension('551d11', name === '', sequence(...names)));
  return [...made, ...(options.extensions ?? [])];
}

export function node(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const head = Buffer.alloc(2 + size);
  head[0] = tag;
  head[1] = 0x80 | size;
  head.writeUIntBE(length, 2, size);
  return Buffer.concat([head, content]);
}

export const sequence = (...parts: readonly Buffer[]): Buffer => node(0x30, Buffer.concat(parts));
const tagged = node;
const integer = (value: Buffer): Buffer => node(0x02, value);
const bits = (value: Buffer): Buffer => node(0x03, Buffer.concat([Buffer.from([0]), value]));

export function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [node(0x01, Buffer.from([0xff]))] : [];
  return sequence(node(0x06, Buffer.from(oid, 'hex')), ...flag, node(0x04, value));
}

function distinguished(name: string): Buffer {
  if (name === '') return sequence();
  const common = sequence(node(0x06, Buffer.from('550403', 'hex')), node(0x0c, Buffer.from(name)));
  return sequence(node(0x31, common));
}

function time(seconds: number): Buffer {
  const text = new Date(seconds * 1000).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return node(0x18, Buffer.from(text));
}

function algorithmOf(key: KeyObject): Buffer {
  const oids: Readonly<Record<string, string>> = {
    ec: '2a8648ce3d040302',
    rsa: '2a864886f70d01010b',
    ed25519: '2b6570',
  };
  const oid = oids[key.asymmetricKeyType ?? ''] ?? '';
  const parameters = key.asymmetricKeyType === 'rsa' ? [Buffer.from([5, 0])] : [];
  return sequence(node(0x06, Buffer.from(oid, 'hex')), ...parameters);
}
