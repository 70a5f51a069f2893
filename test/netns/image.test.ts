/** The image of this machine: what the archive holds, that it comes out the same again, that its programs run. */
import { test } from 'tap';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildImage, LARGEST_BYTES, unpackImage } from '../helpers/image.ts';

const PATH = 'PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

test('the image of this machine runs all that the programs call, and comes out the same again', async (t) => {
  const dir = t.testdir();
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  buildImage(join(dir, 'a.tar'), '--arch', arch);
  buildImage(join(dir, 'b.tar'), '--arch', arch, '--fresh');
  for (const name of ['', '.cdx.json']) {
    const [a, b] = ['a', 'b'].map((one) => readFileSync(join(dir, `${one}.tar${name}`)));
    t.ok(a !== undefined && b !== undefined && a.equals(b), `a second build gives the same${name}`);
  }
  const { root, config } = unpackImage(join(dir, 'a.tar'), dir);
  t.match(config, { architecture: arch, os: 'linux', config: { User: '65532:65532' } });
  const [kilobytes] = execFileSync('du', ['-sk', root], { encoding: 'utf8' }).split('\t');
  t.ok(Number(kilobytes) * 1024 <= LARGEST_BYTES, `${kilobytes} KiB`);

  /** In the image, in a network of its own, with a clean environment. */
  const run = (command: string): string =>
    execFileSync(
      'env',
      ['-i', PATH, 'unshare', '--net', 'chroot', root, '/bin/sh', '-ec', command],
      { encoding: 'utf8' },
    ).trim();
  t.match(run('node -p process.version'), /^v26\./);
  const { version }: { version: string } = JSON.parse(readFileSync('package.json', 'utf8'));
  t.equal(run('plumb --version'), version);
  for (const program of ['node-agent', 'controller', 'waypoint']) {
    const flags = '--disable-warning=ExperimentalWarning';
    t.equal(
      run(
        `node ${flags} --import=/opt/plumbline/stripped.js /opt/plumbline/${program}/main.ts --version`,
      ),
      version,
      program,
    );
  }
  // The type stripper is a large WebAssembly module, and Node says what it has loaded.
  const loaded = `process.moduleLoadList.filter((one) => one.endsWith("deps/amaro/dist/index"))`;
  const ask = `await import("#common/errors.ts"); console.log(${loaded}.length)`;
  const node = 'cd /opt/plumbline && node --input-type=module';
  t.equal(run(`${node} --import=/opt/plumbline/stripped.js -e '${ask}'`), '0', 'nothing to strip');
  t.equal(run(`${node} -e '${ask}'`), '1', 'and it would be seen');
  const libc = '#common/sys/libc.ts';
  t.equal(run(`cd /opt/plumbline && node --input-type=module -e "await import('${libc}')"`), '');
  for (const flavour of ['nft', 'legacy']) {
    const rules = '*mangle\\n-A OUTPUT -p tcp -m mark --mark 1 -j MARK --set-mark 2\\nCOMMIT\\n';
    for (const program of [`iptables-${flavour}`, `ip6tables-${flavour}`]) {
      const saved = run(`printf '${rules}' | ${program}-restore; ${program}-save -t mangle`);
      t.match(saved, /-A OUTPUT -p tcp -m mark --mark 0x1 -j MARK/, program);
    }
  }
  t.match(run('ipset create a hash:ip; ipset add a 10.0.0.1; ipset save a'), /add a 10.0.0.1/);
  t.match(run('iptables -V'), /nf_tables/);
  for (const tool of [
    'ss -tn',
    'ip link show lo',
    'cat /etc/os-release',
    'find /tmp',
    'stat /tmp',
  ]) {
    t.ok(run(tool), tool);
  }
  t.equal(run('find / -xdev -perm /6000'), '', 'nothing runs with the rights of its owner');
  t.equal(run('find / -xdev -name "*.pem" -o -name apt -o -name dpkg-deb'), '');
});
