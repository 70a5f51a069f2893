/** Answers as text: paths into unknown values, tables, and exit codes for errors. */
import { test } from 'tap';
import { render } from '../../cli/commands/output.ts';
import { exitCodeOf } from '../../cli/exit-codes.ts';
import { at, listAt, renderTable } from '../../cli/text.ts';
import { MeshError } from '../../common/errors.ts';

test('at() finds a value by its path, and "" where there is none', async (t) => {
  const row = { a: { b: 3, list: ['x', { y: 1 }] }, no: null, yes: true };
  t.equal(at(row, 'a.b'), '3');
  t.equal(at(row, 'a.list'), 'x,{"y":1}');
  t.equal(at(row, 'yes'), 'true');
  for (const path of ['a.c', 'no', 'no.b', 'a.b.c', '__proto__', 'constructor', 'toString']) {
    t.equal(at(row, path), '', path);
  }
  t.equal(at(undefined, 'a'), '');
});

test('listAt() is a list whatever it finds', async (t) => {
  t.strictSame(listAt({ a: { b: [1] } }, 'a.b'), [1]);
  t.strictSame(listAt({ a: 'text' }, 'a'), []);
});

test('renderTable() aligns columns and lets no control character through', async (t) => {
  t.equal(
    renderTable([
      ['A', 'LONGER'],
      ['value', 'b\u001b[2J\n'],
    ]),
    'A      LONGER\nvalue  b?[2J?\n',
  );
});

test('render() gives all of an answer as JSON and YAML', async (t) => {
  const rows = [{ name: 'a', more: { deep: [1] } }];
  t.strictSame(JSON.parse(render(rows, [], 'json')), rows);
  t.equal(render(rows, [], 'yaml'), '- name: a\n  more:\n    deep:\n      - 1\n');
});

test('exitCodeOf() tells a wrong question from a mesh that does not answer', async (t) => {
  const wrapped = new Error('outer', { cause: new MeshError('AGENT_UNREACHABLE', 'm') });
  t.equal(exitCodeOf(new MeshError('CONFIG_INVALID', 'm')), 2);
  t.equal(exitCodeOf(wrapped), 3);
  t.equal(exitCodeOf(new MeshError('SYSTEM_CALL_FAILED', 'm')), 4);
  t.equal(exitCodeOf(new Error('surprise')), 70);
});
