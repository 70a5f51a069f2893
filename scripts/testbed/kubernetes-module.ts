/**
 * Writes a go.mod that can import k8s.io/kubernetes: node kubernetes-module.ts VERSION DIR
 *
 * Kubernetes requires the modules it is published with ("staging") at v0.0.0 and replaces them by
 * paths in its own tree, which hold for nobody who imports it. Here each is replaced by what was
 * published with the same release, v0.MINOR.PATCH; all its other requirements are taken as they are.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Module {
  readonly Path: string;
  readonly Version?: string;
}
interface GoMod {
  readonly Go: string;
  readonly Godebug?: readonly { readonly Key: string; readonly Value: string }[] | null;
  readonly Require: readonly Module[];
  readonly Replace?: readonly { readonly Old: Module; readonly New: Module }[] | null;
}

const [version = '', dir = ''] = process.argv.slice(2);
if (!/^1\.\d+\.\d+$/.test(version) || dir === '')
  throw new Error('usage: kubernetes-module.ts VERSION DIR');

const { GoMod: path }: { readonly GoMod: string } = JSON.parse(
  go('mod', 'download', '-json', `k8s.io/kubernetes@v${version}`),
);
const theirs: GoMod = JSON.parse(go('mod', 'edit', '-json', path));
const replaced = theirs.Replace ?? [];
const staging = replaced.filter(({ New }) => New.Path.startsWith('./')).map(({ Old }) => Old.Path);
if (staging.length === 0) throw new Error(`found no staging modules in ${path}`);
const asPublished = `v0.${version.slice('1.'.length)}`;

const lines = [
  'module testbed.local/kubernetes',
  `go ${theirs.Go}`,
  ...(theirs.Godebug ?? []).map(({ Key, Value }) => `godebug ${Key}=${Value}`),
  `require k8s.io/kubernetes v${version}`,
  ...theirs.Require.map(({ Path, Version = '' }) =>
    staging.includes(Path) ? `require ${Path} ${asPublished}` : `require ${Path} ${Version}`,
  ),
  ...staging.map((module) => `replace ${module} => ${module} ${asPublished}`),
  ...replaced
    .filter(({ New }) => !New.Path.startsWith('./'))
    .map(({ Old, New }) => `replace ${Old.Path} => ${New.Path} ${New.Version ?? ''}`),
];
writeFileSync(join(dir, 'go.mod'), `${lines.join('\n')}\n`);

/** Runs go outside of any module and returns what it says. */
function go(...args: string[]): string {
  const env = { ...process.env, GOFLAGS: '', GOWORK: 'off' };
  return execFileSync('go', args, { cwd: '/', encoding: 'utf8', env });
}
