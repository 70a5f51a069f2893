import { test } from 'tap';
import { compilePattern, patternFault } from '../../../common/decide/pattern.ts';
import { randomFrom } from '../../helpers/mesh-random.ts';

test('compilePattern() matches whole texts as people expect', async (t) => {
  const table: readonly (readonly [
    pattern: string,
    yes: readonly string[],
    no: readonly string[],
  ])[] = [
    ['/users/[0-9]+', ['/users/1', '/users/042'], ['/users/', '/users/1/', 'x/users/1']],
    ['/(a|b|cc)/.*', ['/a/', '/cc/x/y'], ['/c/x', '/a']],
    ['/v[12](/.*)?', ['/v1', '/v2/x'], ['/v3', '/v1x']],
    ['a{2,3}', ['aa', 'aaa'], ['a', 'aaaa']],
    ['a{2}b{0,1}c{1,}', ['aac', 'aabccc'], ['abc', 'aab']],
    ['^/x$', ['/x'], ['/x/']],
    ['(^a|b)c', ['ac', 'bc'], ['c']],
    ['a(b|$)', ['ab', 'a'], ['abb']],
    ['(?i)Chrome', ['chrome', 'CHROME'], ['chrom']],
    ['(?i)[a-c]\\d', ['B1'], ['D1']],
    ['[^/]+', ['abc'], ['a/b', '']],
    ['[]a-]+', [']', '-a'], ['b']],
    ['\\w+@\\S+\\.\\x41', ['me@x.A'], ['me@ x.A']],
    ['(?:ab)+?(?P<name>c)(?<other>d)', ['ababcd'], ['cd']],
    ['', [''], ['a']],
    ['a||b', ['a', '', 'b'], ['ab']],
    ['(a*)*b', ['aaab', 'b'], ['aaa']],
    ['.+é', ['xé'], ['é', '\né']],
    ['\\.\\+\\/', ['.+/'], ['a+/']],
  ];
  for (const [pattern, yes, no] of table) {
    const compiled = compilePattern(pattern);
    for (const text of yes) t.ok(compiled.test(text), `${pattern} takes "${text}"`);
    for (const text of no) t.notOk(compiled.test(text), `${pattern} does not take "${text}"`);
  }
});

test('compilePattern() says the same as RegExp about random patterns and texts', async (t) => {
  const random = randomFrom(7);
  const pick = (from: string): string => from[Math.floor(random() * from.length)] ?? '';
  const make = (depth: number): string => {
    const kind = Math.floor(random() * (depth > 3 ? 3 : 7));
    if (kind <= 1) return pick('abc');
    if (kind === 2) return ['.', '[ab]', '[^a]', '\\w'][Math.floor(random() * 4)] ?? '.';
    if (kind === 3) return make(depth + 1) + make(depth + 1);
    if (kind === 4) return `(?:${make(depth + 1)}|${make(depth + 1)})`;
    return `(?:${make(depth + 1)})${['*', '+', '?', '{1,3}'][Math.floor(random() * 4)] ?? '*'}`;
  };
  let matched = 0;
  for (let i = 0; i < 3000; i += 1) {
    const pattern = make(0);
    const ours = compilePattern(pattern);
    const theirs = new RegExp(`^(?:${pattern})$`);
    for (let j = 0; j < 6; j += 1) {
      const text = Array.from({ length: Math.floor(random() * 7) }, () => pick('abcd')).join('');
      const want = theirs.test(text);
      if (want) matched += 1;
      if (ours.test(text) !== want) t.fail(`${pattern} on "${text}": expected ${want}`);
    }
  }
  t.ok(matched > 1000, `${matched} of the cases match`);
});

test('compilePattern() refuses by name what cannot be matched in linear time', async (t) => {
  t.match(patternFault('(a)\\1'), /"\\1", which is not known near character 5/);
  t.match(patternFault('(?=a)b'), /looking ahead or behind/);
  t.match(patternFault('(?<!a)b'), /looking ahead or behind/);
  t.match(patternFault('a**'), /a repetition of a repetition/);
  t.match(patternFault('*a'), /"\*" repeats nothing near character 1/);
  t.match(patternFault('(a'), /"\(" that is not closed/);
  t.match(patternFault('a)'), /"\)" that closes nothing/);
  t.match(patternFault('[a'), /"\[" that is not closed/);
  t.match(patternFault('[z-a]'), /range that goes nowhere/);
  t.match(patternFault('a{3,2}'), /a repetition of \{3,2\}/);
  t.match(patternFault('(a{100}){100}'), /too large/);
  t.match(patternFault('\\b'), /"\\b", which is not known/);
  t.match(patternFault('a\\'), /nothing behind it/);
  t.match(patternFault('x'.repeat(2000)), /too long/);
  t.equal(patternFault('/api/v[0-9]+/.*'), '');
});

test('Pattern.test() stays linear where backtracking would not, and bounded in memory', async (t) => {
  const evil = compilePattern('(a+)+b');
  const many = compilePattern('(a|b)*a(a|b){12}');
  const random = randomFrom(3);
  const text = Array.from({ length: 20_000 }, () => (random() < 0.5 ? 'a' : 'b')).join('');
  t.notOk(evil.test('a'.repeat(50_000)));
  // Over 2^12 states would be needed for this one: it starts anew instead, with the right answer.
  t.equal(many.test(text), text.at(-13) === 'a');
  t.equal(many.test(`${text}b`), text.at(-12) === 'a');
});
