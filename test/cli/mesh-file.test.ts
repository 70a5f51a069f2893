/** How commands find the mesh that runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { test } from 'tap';
import { findMesh, writeMeshFile } from '../../cli/mesh-file.ts';
import { startOf } from '../../cli/up/processes.ts';

function setUp(t: { testdir(files: Record<string, string>): string }) {
  const root = t.testdir({});
  const add = (name: string, started = startOf(process.pid) ?? '0'): void => {
    mkdirSync(`${root}/${name}`);
    writeMeshFile(`${root}/${name}/mesh.json`, {
      name,
      directory: '/shop',
      pid: process.pid,
      started,
      logs: '/logs',
      socket: '/up.sock',
      controller: { pid: 2, socket: '/c.sock' },
      agents: [{ node: 'node-a', pid: 0, socket: '/a.sock' }],
    });
  };
  return { root, add };
}

test('findMesh() takes the only mesh that runs', async (t) => {
  const { root, add } = setUp(t);
  add('shop');
  t.equal(findMesh(undefined, root).name, 'shop');
  t.equal(findMesh('shop', root).agents[0]?.node, 'node-a');
});

test('findMesh() asks which one when several run', async (t) => {
  const { root, add } = setUp(t);
  add('shop');
  add('other');
  t.throws(() => findMesh(undefined, root), { code: 'CONFIG_INVALID', message: /other, shop/ });
  t.equal(findMesh('other', root).name, 'other');
});

test('findMesh() does not take a mesh whose process was killed for one that runs', async (t) => {
  const { root, add } = setUp(t);
  add('killed', '1');
  t.throws(() => findMesh(undefined, root), { code: 'CONTROLLER_UNREACHABLE' });
  t.throws(() => findMesh('killed', root), { code: 'CONTROLLER_UNREACHABLE' });
});

test('findMesh() says so when there is none, and names a file that it cannot read', async (t) => {
  const { root } = setUp(t);
  t.throws(() => findMesh(undefined, `${root}/nowhere`), { code: 'CONTROLLER_UNREACHABLE' });
  mkdirSync(`${root}/bad`);
  writeFileSync(`${root}/bad/mesh.json`, '{"name":1}');
  t.throws(() => findMesh(undefined, root), {
    code: 'MESSAGE_INVALID',
    message: /bad\/mesh\.json/,
  });
});
