import { test } from 'tap';
import {
  canonicalAddress,
  cidrContains,
  formatEndpoint,
  isLoopback,
  parseAddress,
  parseCidr,
} from '../../common/address.ts';

test('canonicalAddress() gives equal addresses equal text', async (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:0a00:0001', '10.0.0.1'],
    ['FD00::00A', 'fd00::a'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['::', '::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1::', '1::'],
  ];
  for (const [text, wanted] of table) t.equal(canonicalAddress(text), wanted);
});

test('canonicalAddress() refuses what is no address', async (t) => {
  const bad =
    '|.|1.|.1.2.3|1..2.3|1.2.3.|00.1.2.3|1.2.3|1.2.3.4.5|01.2.3.4|256.1.1.1|1.2.3.4 |:|:::|1::2::3|12345::|fe80::1%eth0|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|::1.2.3|1.2.3.4::|g::';
  for (const text of bad.split('|')) {
    t.throws(() => canonicalAddress(text), { code: 'ADDRESS_INVALID' }, text);
  }
});

test('parseCidr() and cidrContains() agree with the prefix length', async (t) => {
  const table: readonly (readonly [string, string, boolean])[] = [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.128/25', '10.0.0.129', true],
    ['10.0.0.128/25', '10.0.0.127', false],
    ['0.0.0.0/0', '255.1.1.1', true],
    ['0.0.0.0/0', 'fd00::1', false],
    ['::/0', 'fd00::1', true],
    ['::/0', '10.0.0.1', false],
    ['::/80', '10.0.0.1', false],
    ['fd00::/9', 'fd7f::1', true],
    ['fd00::/9', 'fd80::1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
  ];
  for (const [cidr, address, wanted] of table) {
    const parsed = parseCidr(cidr);
    const bytes = parseAddress(address);
    if (parsed === undefined || bytes === undefined) t.fail(`${cidr} ${address} must parse`);
    else t.equal(cidrContains(parsed, bytes), wanted, `${cidr} ${address}`);
  }
  for (const text of [
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    'fd00::/129',
    '/8',
    '10.0.0.0/08',
  ]) {
    t.equal(parseCidr(text), undefined, text);
  }
});

test('formatEndpoint() puts brackets around IPv6', async (t) => {
  t.equal(formatEndpoint('10.0.0.1', 80), '10.0.0.1:80');
  t.equal(formatEndpoint('fd00::7', 80), '[fd00::7]:80');
});

test('isLoopback() knows both families', async (t) => {
  t.strictSame(['127.0.0.1', '127.9.9.9', '::1', '10.0.0.1', '::2'].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
  ]);
});
