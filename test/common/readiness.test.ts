import { test } from 'tap';
import { createLogger } from '../../common/log.ts';
import { Readiness } from '../../common/readiness.ts';

test('Readiness names what is missing until all of it is there', async (t) => {
  const lines: string[] = [];
  const { log } = createLogger({
    format: 'json',
    level: 'info',
    sink: { write: (l) => lines.push(l) > 0 },
  });
  const readiness = new Readiness(log);
  const snapshot = readiness.blockedBy('first snapshot');
  const proof = readiness.blockedBy('proof');
  const request = { query: new URLSearchParams(), body: '', signal: new AbortController().signal };
  const { answer } = readiness.route();
  t.match(await answer(request), { status: 503, body: 'waiting for: first snapshot, proof\n' });
  snapshot();
  snapshot();
  t.match(await answer(request), { status: 503, body: 'waiting for: proof\n' });
  proof();
  t.match(await answer(request), { status: 200, body: 'ready\n' });
  t.equal(lines.length, 2);
});
