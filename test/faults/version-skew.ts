/** R23: one node runs the agent of an older commit, then the other, with load. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Program } from '../helpers/program.ts';
import type { Undo } from './scenario.ts';
import { ACROSS, onBench } from './world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The newest release, or what stood there thirty commits ago; undefined without history. */
function olderCommit(): string | undefined {
  for (const words of [
    ['describe', '--tags', '--abbrev=0', 'HEAD^'],
    ['log', '--format=%h', '--skip=30', '-n', '1'],
  ]) {
    try {
      const found = git(words).trim();
      if (found !== '') return found;
    } catch {
      // Not a clone, a shallow one, or no such commit.
    }
  }
  return undefined;
}

function git(words: readonly string[]): string {
  return execFileSync('git', ['-C', ROOT, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
}

function checkOut(undo: Undo, commit: string): string {
  const directory = mkdtempSync('/tmp/plumb-older-');
  undo.after(() => rmSync(directory, { recursive: true, force: true }));
  execFileSync('sh', ['-c', `git -C "${ROOT}" archive ${commit} | tar -x -C "${directory}"`]);
  symlinkSync(`${ROOT}node_modules`, `${directory}/node_modules`);
  return directory;
}

export const scenario = onBench({
  name: 'version-skew',
  title: 'R23: an agent of an older commit beside one of this, both ways, with load',
  world: () => ({ load: { fresh: { perSecond: 50, pairs: ACROSS } } }),
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const commit = olderCommit();
    if (commit === undefined)
      return { figures: { 'not run': 'there is no git history here' }, marks: {} };
    const older = checkOut(undo, commit);
    const figures: Record<string, number | string> = { 'the older commit': commit };
    let failed = 0;
    let all = 0;
    for (const node of quick ? [2] : [2, 1]) {
      const now = mesh.agent(node);
      const [, ...flags] = now.args;
      const old = new Program(now.netns, now.socket, [`${older}/node-agent/main.ts`, ...flags]);
      await now.end('SIGTERM');
      old.start();
      mesh.replaceAgent(node, old);
      await mesh.proven();
      await world.settled();
      const window = await world.during(quick ? 1500 : 30_000);
      await old.end('SIGTERM');
      mesh.replaceAgent(node, now);
      now.start();
      await mesh.proven();
      await world.settled();
      figures[`older on node ${node}: requests and new connections`] =
        window.requests + window.fresh;
      figures[`older on node ${node}: of them failed`] = window.failed + window.freshFailed;
      failed += window.failed + window.freshFailed;
      all += window.requests;
    }
    return { figures, marks: { 'nothing fails': failed === 0 && all > 0 } };
  },
});
