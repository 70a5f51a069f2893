/** scripts/test-kubernetes.sh names its scenarios, since their order matters; none may be forgotten. */
import { globSync, readFileSync } from 'node:fs';
import { test } from 'tap';

test('every scenario of test/kubernetes is run by scripts/test-kubernetes.sh', async (t) => {
  const list = /^scenarios=\(([^)]*)\)/m.exec(readFileSync('scripts/test-kubernetes.sh', 'utf8'));
  const named = (list?.[1] ?? '').split(/\s+/).toSorted((a, b) => (a < b ? -1 : 1));
  const files = globSync('*.test.ts', { cwd: 'test/kubernetes' })
    .map((file) => file.replace('.test.ts', ''))
    .toSorted((a, b) => (a < b ? -1 : 1));
  t.ok(files.length > 10);
  t.strictSame(named, files);
});
