import { test } from 'tap';
import { normalizePath, readings } from '../../../common/decide/normalize-path.ts';

test('normalizePath() gives each path one spelling', async (t) => {
  const table: readonly (readonly [given: string, want: string])[] = [
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a//b', '/a/b'],
    ['//', '/'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/b/..', '/a/'],
    ['/a/.', '/a/'],
    ['/a/b/%2e%2E/c', '/a/c'],
    ['/%61%2d', '/a-'],
    ['/a%2fb', '/a%2Fb'],
    ['/a%20b', '/a%20b'],
    ['/..a/.b', '/..a/.b'],
    ['/a;x=1/b', '/a;x=1/b'],
    ['/a/', '/a/'],
    ['*', '*'],
  ];
  for (const [given, want] of table) {
    t.equal(normalizePath(given), want, given);
    t.equal(normalizePath(want), want, `${want} stays as it is`);
  }
});

test('normalizePath() refuses what could be read in two ways', async (t) => {
  for (const path of [
    '',
    'a',
    '/..',
    '/a/../..',
    '/%2e%2e',
    '/%',
    '/%2',
    '/%zz',
    '/%00',
    '/a%0d%0a',
    '/a\\b',
    '/a b',
    '/a#b',
    '/é',
    '/\u007f',
  ]) {
    t.equal(normalizePath(path), undefined, JSON.stringify(path));
  }
});

test('readings() tells how an application that decodes slashes would read a path', async (t) => {
  t.strictSame(readings('/a/b'), ['/a/b']);
  t.strictSame(readings('/a%2Fb'), ['/a%2Fb', '/a/b']);
  t.strictSame(readings('/public%2F..%2Fadmin'), ['/public%2F..%2Fadmin', '/admin']);
  t.strictSame(readings('/a%5Cadmin'), ['/a%5Cadmin', '/a/admin']);
  t.strictSame(readings('/..%2F..%2Fadmin'), ['/..%2F..%2Fadmin', '/admin']);
});
