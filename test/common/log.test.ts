import { test } from 'tap';
import { MeshError } from '../../common/errors.ts';
import { createLogger, streamSink } from '../../common/log.ts';

function setUp(format: 'json' | 'text') {
  const lines: string[] = [];
  const sink = { write: (line: string) => lines.push(line) > 0 };
  return { lines, ...createLogger({ format, level: 'info', sink, now: () => 0 }) };
}

test('a logger writes one JSON line with bound and own fields', async (t) => {
  const { lines, log } = setUp('json');
  log.with({ node: 'n1' }).info('pod captured', { pod: 'a', ms: 3 });
  t.strictSame(JSON.parse(lines[0] ?? ''), {
    time: '1970-01-01T00:00:00.000Z',
    level: 'info',
    message: 'pod captured',
    node: 'n1',
    pod: 'a',
    ms: 3,
  });
});

test('a logger spells an error with its code, details and cause', async (t) => {
  const { lines, log } = setUp('json');
  const cause = new Error('no route');
  log.error('tunnel failed', {
    error: new MeshError('CONNECT_FAILED', 'Cannot connect', { cause, details: { peer: 'p' } }),
  });
  t.match(JSON.parse(lines[0] ?? ''), {
    error: { code: 'CONNECT_FAILED', details: { peer: 'p' }, cause: { message: 'no route' } },
  });
});

test('a text line quotes what has spaces, so that no value can forge a field', async (t) => {
  const { lines, log } = setUp('text');
  log.warn('refused', { by: 'a b="c"\nd', port: 80 });
  t.equal(lines[0], '1970-01-01T00:00:00.000Z warn  refused by="a b=\\"c\\"\\nd" port=80');
});

test('a text line gives an error as a sentence, with causes that it does not quote', async (t) => {
  const { lines, log } = setUp('text');
  const refused = new TypeError('connect ECONNREFUSED');
  const cause = new MeshError('CONTROLLER_UNREACHABLE', 'Cannot ask: connect ECONNREFUSED', {
    cause: refused,
  });
  log.warn('out of date', { error: new TypeError('no services', { cause }), port: 80 });
  t.equal(
    lines[0],
    '1970-01-01T00:00:00.000Z warn  out of date error="no services; CONTROLLER_UNREACHABLE: Cannot ask: connect ECONNREFUSED" port=80',
  );
});

test('the level can be changed while the logger is in use', async (t) => {
  const { lines, log, control } = setUp('json');
  const child = log.with({ part: 'x' });
  child.debug('quiet');
  control.level = 'debug';
  child.debug('heard');
  t.equal(lines.length, 1);
});

test('streamSink() keeps lines while the reader is slow, then drops and counts them', async (t) => {
  const written: string[] = [];
  const listeners = new Map<string, () => void>();
  let room = false;
  const sink = streamSink({
    write: (text) => {
      written.push(text);
      return room;
    },
    on: (event, listener) => listeners.set(event, listener),
  });
  sink.write('first');
  t.equal(sink.write('second'), true);
  const long = 'x'.repeat(1 << 20);
  t.equal(sink.write(long), false);
  t.equal(sink.dropped(), 1);
  t.strictSame(written, ['first\n']);
  room = true;
  listeners.get('drain')?.();
  t.strictSame(written.slice(0, 2), ['first\n', 'second\n']);
  t.match(JSON.parse(written[2] ?? ''), { message: 'log lines dropped', lines: 1 });
});

test('writeMany() writes lines at once, and keeps or counts each of them', async (t) => {
  const written: string[] = [];
  let room = true;
  const sink = streamSink({
    write: (text) => {
      written.push(text);
      return room;
    },
    on: () => undefined,
  });
  sink.writeMany('a\nb', 2);
  t.strictSame(written, ['a\nb\n']);
  room = false;
  sink.write('c');
  t.equal(sink.write('x'.repeat(1 << 20)), true);
  sink.writeMany('d\ne\nf', 3);
  t.strictSame(written, ['a\nb\n', 'c\n']);
  t.equal(sink.dropped(), 3);
});
