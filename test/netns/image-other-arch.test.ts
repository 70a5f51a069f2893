/** The image of the architecture that this machine is not: built, not run. */
import { test } from 'tap';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage, LARGEST_BYTES, unpackImage } from '../helpers/image.ts';

/** The machine field of an ELF file: 62 is x86-64, 183 is AArch64. */
function machineOf(file: string): number {
  const fd = openSync(file, 'r');
  const head = Buffer.alloc(20);
  readSync(fd, head);
  closeSync(fd);
  return head.readUInt16LE(18);
}

test('the image of the other architecture holds programs of that architecture', async (t) => {
  const dir = t.testdir();
  const isArm = process.arch === 'arm64';
  const [arch, machine] = isArm ? (['amd64', 62] as const) : (['arm64', 183] as const);
  buildImage(join(dir, 'c.tar'), '--arch', arch);
  const { root, config } = unpackImage(join(dir, 'c.tar'), dir);
  t.match(config, { architecture: arch });
  const native = execFileSync('find', [root, '-name', '*.node'], { encoding: 'utf8' }).trim();
  t.equal(native.split('\n').length, 1);
  for (const file of [native, ...['local/bin/node', 'sbin/ipset', 'bin/dash'].map(inUsr)]) {
    t.equal(machineOf(file), machine, file.slice(root.length));
  }
  t.ok(statSync(join(dir, 'c.tar')).size <= LARGEST_BYTES);

  function inUsr(name: string): string {
    return join(root, 'usr', name);
  }
});
