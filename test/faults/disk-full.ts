/** R19: the disk for the agents' state is full, then read-only, then writable again. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { documents, policy } from '../helpers/mesh-yaml.ts';
import { eventually, type LogLine } from '../helpers/program.ts';
import { judge, type Scenario, undoing } from './scenario.ts';
import { World } from './world.ts';

const isWarning = (line: LogLine): boolean =>
  JSON.stringify(line).includes('"warn"') && /state/.test(String(line['message'] ?? line['msg']));

/** A policy that matters to nobody, so that there is something new to save. */
const change = (n: number): string =>
  policy(`extra-${n}`, {
    selector: { matchLabels: { app: 'nobody' } },
    action: 'DENY',
    rules: [{ from: [{ source: { principals: [`cluster.local/ns/shop/sa/x${n}`] } }] }],
  });

export const scenario: Scenario = {
  name: 'disk-full',
  title: 'R19: the state cannot be saved; agents serve from memory, warn, and recover',
  run: async ({ prefix = 'fltdisk' }) =>
    undoing(async (undo) => {
      const base = mkdtempSync('/dev/shm/plumb-faultdisk-');
      undo.after(() => rmSync(base, { recursive: true, force: true }));
      for (const node of [1, 2]) execFileSync('mkdir', [`${base}/${node}`]);
      for (const node of [1, 2]) {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'plumbtest', `${base}/${node}`]);
        undo.after(() => void execFileSync('umount', [`${base}/${node}`]));
      }
      const world = await World.start(undo, prefix, {
        agentFlags: (node) => ['--state-dir', `${base}/${node}`],
      });
      const { mesh } = world;
      const warnings = (): number =>
        Math.min(...mesh.agents.map(({ lines }) => lines.filter(isWarning).length));
      const warned = async (what: string, least: number): Promise<void> =>
        eventually(what, async () => {
          if (warnings() < least) throw new Error(`${warnings()} warnings`);
        });
      await world.take();
      for (const node of [1, 2]) fill(`${base}/${node}/filler`);
      await mesh.write(documents(world.yaml, change(1)));
      await warned('a full disk is said', 1);
      const full = await world.during(1000);
      for (const node of [1, 2]) rmSync(`${base}/${node}/filler`);
      await mesh.write(documents(world.yaml, change(2)));
      const savedAt = async (): Promise<void> =>
        eventually('the state is on disk again', async () => {
          const wanted = String(await version(world));
          for (const node of [1, 2]) {
            const [, head = ''] = readFileSync(`${base}/${node}/mesh.state`, 'latin1').split('\n');
            if (head.split(' ')[1] !== wanted) throw new Error(`node ${node} has ${head}`);
          }
        });
      await savedAt();
      for (const node of [1, 2]) execFileSync('mount', ['-o', 'remount,ro', `${base}/${node}`]);
      await mesh.write(documents(world.yaml, change(3)));
      await warned('a read-only disk is said', 2);
      const readOnly = await world.during(1000);
      for (const node of [1, 2]) execFileSync('mount', ['-o', 'remount,rw', `${base}/${node}`]);
      await mesh.write(documents(world.yaml, change(4)));
      await savedAt();
      const held = await world.held();
      const failed = full.failed + readOnly.failed;
      return judge({
        figures: {
          'requests while the disk was full or read-only': full.requests + readOnly.requests,
          'of them failed': failed,
          'warnings of each agent': warnings(),
          ...held.figures,
        },
        marks: { 'it serves from memory': failed === 0, ...held.marks },
      });
    }),
};

async function version(world: World): Promise<number> {
  const { meshVersion } = await world.mesh.controller.ask<{ meshVersion: number }>('/v1/version');
  return meshVersion;
}

function fill(path: string): void {
  try {
    writeFileSync(path, Buffer.alloc(2 << 20));
  } catch {
    // That it did not fit is what was wanted.
  }
}
