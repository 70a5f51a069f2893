import { test } from 'tap';
import { compilePathPattern, templateFault } from '../../../common/decide/path-template.ts';

test('compilePathPattern() matches templates segment by segment', async (t) => {
  const table: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['/a/{*}/c', ['/a/b/c', '/a/x/c'], ['/a/c', '/a//c', '/a/b/c/', '/a/b/c/d', 'x/a/b/c']],
    ['/a/{**}', ['/a', '/a/', '/a/b', '/a/b/c'], ['/ab', '/b', '']],
    ['/{*}/{**}', ['/a', '/a/b'], ['/', '']],
    ['/{**}', ['', '/', '/a'], []],
    ['/{*}', ['/a'], ['/', '/a/', '/a/b']],
    ['/a*', ['/a', '/ab/c'], ['/b']],
    ['*', ['/'], ['']],
  ];
  for (const [pattern, yes, no] of table) {
    const fits = compilePathPattern(pattern);
    for (const path of yes) t.ok(fits(path), `${pattern} takes "${path}"`);
    for (const path of no) t.notOk(fits(path), `${pattern} does not take "${path}"`);
  }
});

test('templateFault() names what is no template', async (t) => {
  t.equal(templateFault('/a/{*}/{**}'), '');
  t.equal(templateFault('/a*'), '');
  t.match(templateFault('a/{*}'), 'begins with "/"');
  t.match(templateFault('/{**}/a'), 'in the last place alone');
  t.match(templateFault('/a{*}'), '"a{*}"; expected');
  t.match(templateFault('/{id}'), '"{id}"; expected');
  t.match(templateFault('/{*}/b*'), '"b*"; expected');
});
