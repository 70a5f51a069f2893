/**
 * The certificates that `tls-certificates.test.ts` shows to us, and which of them must be accepted.
 */
import { root } from './engine.ts';
import {
  ecKeys,
  ed25519Keys,
  extension,
  issue,
  makeAuthority,
  makeLeaf,
  node,
  rsaKeys,
  sequence,
} from './pki.ts';
import type { Issued } from './pki.ts';

export interface Shown {
  readonly what: string;
  readonly chain: readonly Issued[];
  /** Why it must be refused; undefined for one that must be accepted. */
  readonly refused?: RegExp;
  readonly as?: 'client' | 'server';
}

export const SPIFFE = 'spiffe://cluster.local/ns/shop/sa/cart';
const DAY = 86_400;
const OURS = /the certificate was refused/;
const intermediate = makeAuthority('issuing', { issuer: root });
const stranger = makeAuthority('root');
const notAnAuthority = makeLeaf(root, { name: 'middle' });
const otherName = node(
  0xa0,
  Buffer.concat([
    node(0x06, Buffer.from('2b060104018237140203', 'hex')),
    node(0xa0, node(0x0c, Buffer.from(SPIFFE))),
  ]),
);

/** An authority that may speak for the hosts below a name only (RFC 5280 section 4.2.1.10). */
const constrained = (host: string): Issued =>
  makeAuthority('constrained', {
    issuer: root,
    extensions: [
      extension('551d1e', true, sequence(node(0xa0, sequence(node(0x86, Buffer.from(host)))))),
    ],
  });
/** Path length 0: it may sign leaves, and no authority. */
const shortArm = issue({
  name: 'short arm',
  issuer: root,
  extensions: [
    extension(
      '551d13',
      true,
      sequence(node(0x01, Buffer.from([0xff])), node(0x02, Buffer.from([0]))),
    ),
  ],
});
const belowShortArm = makeAuthority('below', { issuer: shortArm });
const rootsName = issue({ name: 'root', issuer: root });
const expiredAuthority = makeAuthority('old', { issuer: root, from: -2 * DAY, until: -DAY });
const under = (what: string, issuer: Issued, refused?: RegExp): Shown => {
  const chain = [makeLeaf(issuer), issuer];
  return refused === undefined ? { what, chain } : { what, chain, refused };
};

function deep(length: number): Issued[] {
  const chain: Issued[] = [];
  let issuer = root;
  for (let i = 0; i < length; i += 1) {
    issuer = makeAuthority(`level ${i}`, { issuer });
    chain.unshift(issuer);
  }
  return [makeLeaf(issuer), ...chain];
}

const one = (what: string, certificate: Issued, refused?: RegExp): Shown =>
  refused === undefined ? { what, chain: [certificate] } : { what, chain: [certificate], refused };

export const CERTIFICATES: readonly Shown[] = [
  one('a workload’s certificate', makeLeaf(root)),
  one('one with a P-384 key', makeLeaf(root, { keys: ecKeys('P-384') })),
  one('one with an RSA key of 2048 bits', makeLeaf(root, { keys: rsaKeys(2048) })),
  one('one with an Ed25519 key', makeLeaf(root, { keys: ed25519Keys() })),
  one('one with a DNS name beside the URI', makeLeaf(root, { dns: ['cart.shop'] })),
  one('one without basic constraints', issue({ issuer: root, uris: [SPIFFE] })),
  { what: 'one under an issuing authority', chain: [makeLeaf(intermediate), intermediate] },
  { what: 'one three levels down', chain: deep(3) },
  one('an expired one', makeLeaf(root, { from: -2 * DAY, until: -DAY }), /expired/),
  one('one that expired a second ago', makeLeaf(root, { until: -1 }), /expired/),
  one('one that is not valid yet', makeLeaf(root, { from: DAY, until: 2 * DAY }), /not yet valid/),
  one('one of a stranger with our root’s name', makeLeaf(stranger), /signature failure/),
  one('a self-signed one', issue({ uris: [SPIFFE], authority: false }), /self-signed/),
  one('one whose issuer is not sent', makeLeaf(intermediate), /unable to get local issuer/),
  under('one under an authority that is confined to our domain', constrained('cluster.local')),
  under(
    'one under an authority that is confined to another domain',
    constrained('other.domain'),
    /permitted subtree violation|verify failed/,
  ),
  under(
    'one under a self-issued authority without the flag of one',
    rootsName,
    /signature failure|invalid CA/,
  ),
  under('one under an authority that has expired', expiredAuthority, /expired/),
  {
    what: 'one under an authority below one that may sign none',
    chain: [makeLeaf(belowShortArm), belowShortArm, shortArm],
    refused: /invalid CA|path length|verify failed/,
  },
  one(
    'one with a critical extension that nobody knows',
    makeLeaf(root, { extensions: [extension('2a0304', true, sequence())] }),
    /unhandled critical extension/,
  ),
  one(
    'one with two lists of names',
    makeLeaf(root, {
      extensions: [extension('551d11', false, sequence(node(0x86, Buffer.from(`${SPIFFE}2`))))],
    }),
    /the certificate was refused|invalid certificate|verify failed|extension/,
  ),
  one(
    'one with an IP address only',
    makeLeaf(root, { uris: [], names: [node(0x87, Buffer.from([10, 0, 0, 7]))] }),
    OURS,
  ),
  one(
    'one with the ID as mail address',
    makeLeaf(root, { uris: [], names: [node(0x81, Buffer.from(SPIFFE))] }),
    OURS,
  ),
  one('one with the ID as common name', makeLeaf(root, { uris: [], name: SPIFFE }), OURS),
  one(
    'one for signing code',
    makeLeaf(root, {
      usages: [],
      extensions: [
        extension('551d25', false, sequence(node(0x06, Buffer.from('2b06010505070303', 'hex')))),
      ],
    }),
    /unsuitable certificate purpose|verify failed/,
  ),
  {
    what: 'one signed by a workload’s certificate',
    chain: [makeLeaf(notAnAuthority), notAnAuthority],
    refused: /invalid CA|verify failed/,
  },
  { what: 'one 20 levels down', chain: deep(20), refused: /chain too long|verify failed/ },
  {
    what: 'one for servers only, shown by a client',
    chain: [makeLeaf(root, { usages: ['serverAuth'] })],
    refused: /unsuitable certificate purpose/,
    as: 'client',
  },
  {
    what: 'one for clients only, shown by a server',
    chain: [makeLeaf(root, { usages: ['clientAuth'] })],
    refused: /unsuitable certificate purpose/,
    as: 'server',
  },
  one(
    'one with an RSA key of 1024 bits',
    makeLeaf(root, { keys: rsaKeys(1024) }),
    /too (small|weak)/,
  ),
  one('an authority’s certificate', makeLeaf(root, { authority: true }), OURS),
  one('one without names', makeLeaf(root, { uris: [], name: 'cart' }), OURS),
  one('one with a DNS name only', makeLeaf(root, { uris: [], dns: ['cart.shop'] }), OURS),
  one('one with two SPIFFE URIs', makeLeaf(root, { uris: [SPIFFE, `${SPIFFE}2`] }), OURS),
  one('one with the same URI twice', makeLeaf(root, { uris: [SPIFFE, SPIFFE] }), OURS),
  one('one with a web URI in front', makeLeaf(root, { uris: ['https://a.b', SPIFFE] }), OURS),
  one('one with a web URI behind', makeLeaf(root, { uris: [SPIFFE, 'https://a.b'] }), OURS),
  one(
    'one with a web URI only',
    makeLeaf(root, { uris: ['https://cluster.local/ns/a/sa/b'] }),
    OURS,
  ),
  one('one with an empty URI', makeLeaf(root, { uris: [''] }), OURS),
  one('one with NUL behind the URI', makeLeaf(root, { uris: [`${SPIFFE}\0evil`] }), OURS),
  one('one with NUL at the end', makeLeaf(root, { uris: [`${SPIFFE}\0`] }), OURS),
  one('one with a line break in the URI', makeLeaf(root, { uris: [`${SPIFFE}\n`] }), OURS),
  one('one with a comma in the URI', makeLeaf(root, { uris: [`${SPIFFE}, URI:x`] }), OURS),
  one('one with the ID as otherName', makeLeaf(root, { uris: [], names: [otherName] }), OURS),
  one('one with the ID as DNS name', makeLeaf(root, { uris: [], dns: [SPIFFE] }), OURS),
  one('one with a name of 8 KB', makeLeaf(root, { uris: [SPIFFE + 'x'.repeat(8192)] }), OURS),
  one(
    'one with 300 names',
    makeLeaf(root, { dns: Array.from({ length: 300 }, (_, i) => `d${i}`) }),
    OURS,
  ),
  one(
    'one larger than 16 KB',
    makeLeaf(root, { dns: ['x'.repeat(17_000)] }),
    /missing or too long/,
  ),
  one(
    'one of another trust domain',
    makeLeaf(root, { uris: [SPIFFE.replace('cluster', 'x')] }),
    OURS,
  ),
  one('one in upper case', makeLeaf(root, { uris: [SPIFFE.toUpperCase()] }), OURS),
  one(
    'one with the scheme in upper case',
    makeLeaf(root, { uris: [SPIFFE.replace('s', 'S')] }),
    OURS,
  ),
  one(
    'one with the domain in upper case',
    makeLeaf(root, { uris: [SPIFFE.replace('c', 'C')] }),
    OURS,
  ),
  one(
    'one with a percent sign',
    makeLeaf(root, { uris: [SPIFFE.replace('cart', 'c%61rt')] }),
    OURS,
  ),
  one('one with a trailing slash', makeLeaf(root, { uris: [`${SPIFFE}/`] }), OURS),
  one('one with a query', makeLeaf(root, { uris: [`${SPIFFE}?x`] }), OURS),
  one('one with a fragment', makeLeaf(root, { uris: [`${SPIFFE}#x`] }), OURS),
  one('one with a port', makeLeaf(root, { uris: [SPIFFE.replace('.local', '.local:80')] }), OURS),
  one('one with a user', makeLeaf(root, { uris: [SPIFFE.replace('//', '//a@')] }), OURS),
  one(
    'one without a service account',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns/a'] }),
    OURS,
  ),
  one('one with another path', makeLeaf(root, { uris: ['spiffe://cluster.local/a/b/c/d'] }), OURS),
  one(
    'one with an empty namespace',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns//sa/b'] }),
    OURS,
  ),
  one(
    'one with dots for a namespace',
    makeLeaf(root, { uris: ['spiffe://cluster.local/ns/../sa/b'] }),
    OURS,
  ),
];
