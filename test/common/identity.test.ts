import { test } from 'tap';
import { identityOf, identityParts, parseIdentity } from '../../common/identity.ts';

test('parseIdentity() takes what identityOf() makes, and takes it apart', async (t) => {
  const identity = identityOf('cluster.local', 'shop', 'web');
  t.equal(parseIdentity(identity), identity);
  t.strictSame(identityParts(identity), {
    trustDomain: 'cluster.local',
    namespace: 'shop',
    serviceAccount: 'web',
  });
});

test('parseIdentity() refuses every other shape', async (t) => {
  const bad = [
    '',
    'spiffe://cluster.local',
    'spiffe://cluster.local/ns/shop/sa/',
    'spiffe://cluster.local/ns/shop/sa/web/',
    'spiffe://cluster.local/ns//sa/web',
    'spiffe:///ns/shop/sa/web',
    'SPIFFE://cluster.local/ns/shop/sa/web',
    'spiffe://Cluster.local/ns/shop/sa/web',
    'spiffe://cluster.local/ns/Shop/sa/web',
    'spiffe://cluster.local/ns/shop/sa/w%65b',
    'spiffe://cluster.local/ns/shop/sa/web\0',
    'spiffe://cluster.local/ns/shop/sa/web\n',
    'spiffe://cluster.local/ns/shop/sa/web?x',
    'spiffe://cluster.local:80/ns/shop/sa/web',
    'https://cluster.local/ns/shop/sa/web',
    ` spiffe://cluster.local/ns/shop/sa/web`,
    `spiffe://cluster.local/ns/${'a'.repeat(64)}/sa/web`,
  ];
  for (const uri of bad) t.equal(parseIdentity(uri), undefined, JSON.stringify(uri));
});
