/** House rules that no linter knows. A failure names the file, and what it should not have done. */
import { globSync, readFileSync } from 'node:fs';
import { test } from 'tap';

const programs = ['node-agent', 'waypoint', 'controller', 'cli'];

/** Inside each program, and inside common, a folder may import from the folders to its left. */
const layers: Readonly<Record<string, readonly string[]>> = {
  common: ['sys', 'engine', 'http2', 'http1', 'tls', 'hbone', 'mesh', 'decide', 'control'],
  'node-agent': ['capture', 'pods', 'cni', 'cluster', 'identity', 'data'],
  waypoint: ['routing', 'resilience', 'tokens', 'decision', 'filters', 'proxy'],
  controller: ['model', 'kube', 'lead', 'ca', 'push', 'status', 'api', 'dashboard'],
  cli: ['lint', 'up', 'commands'],
};

/** The only places from which these may be imported. */
const doors: Readonly<Record<string, readonly string[]>> = {
  '@kubernetes/client-node': ['controller/kube/'],
  'node:child_process': ['node-agent/capture/command.ts', 'cli/up/'],
  'node:ffi': ['common/sys/'],
  'node-forge': ['common/tls/', 'controller/ca/'],
  'prom-client': ['common/metrics.ts'],
  jose: ['waypoint/tokens/'],
  koffi: ['common/sys/'],
  commander: programs.map((program) => `${program}/main.ts`),
  ws: ['common/control/', 'controller/push/'],
  yaml: ['common/config.ts', 'controller/kube/directory', 'cli/'],
};

/** These decide, so they import no `node:` module and no package: plain data in, plain data out. */
const pure = [
  'common/address.ts',
  'common/errors.ts',
  'common/identity.ts',
  'common/http1/',
  'common/http2/',
  'common/mesh/',
  'common/decide/',
  'common/hbone/',
  'controller/model/',
  'controller/push/scope.ts',
  'waypoint/routing/',
  'waypoint/resilience/',
  'waypoint/decision/',
  'node-agent/capture/rules.ts',
  'node-agent/capture/parse.ts',
  'node-agent/pods/match.ts',
  'node-agent/pods/cgroup.ts',
  'node-agent/pods/address-messages.ts',
  'node-agent/cni/conflist.ts',
  'node-agent/cni/request.ts',
  'node-agent/cluster/verdict.ts',
];

const files = globSync(`{common,${programs.join(',')}}/**/*.ts`).map((path) => {
  const text = readFileSync(path, 'utf8');
  return { path, text, imports: Array.from(text.matchAll(/\bfrom '([^']+)'/g), (m) => m[1] ?? '') };
});

/** Lists the imports that `forbids` forbids, as sentences. */
function offences(forbids: (path: string, from: string) => boolean): string[] {
  return files.flatMap(({ path, imports }) =>
    imports.filter((from) => forbids(path, from)).map((from) => `${path} imports ${from}`),
  );
}

test('every file opens by saying what it is', async (t) => {
  const silent = files.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path);
  t.strictSame(silent, []);
});

test('the programs share code through common/ alone', async (t) => {
  const crosses = (path: string, from: string): boolean =>
    programs.some((other) => !path.startsWith(`${other}/`) && from.includes(`../${other}/`));
  t.strictSame(offences(crosses), []);
});

test('common/ knows no program', async (t) => {
  const knows = (path: string, from: string): boolean =>
    path.startsWith('common/') && programs.some((program) => from.includes(`${program}/`));
  t.strictSame(offences(knows), []);
});

test('folders import only from the folders below them', async (t) => {
  const climbs = (path: string, from: string): boolean => {
    const [program = '', folder = ''] = path.split('/');
    const target = /^\.\.\/([^/]+)\//.exec(from)?.[1];
    const order = layers[program] ?? [];
    return target !== undefined && order.indexOf(target) > order.indexOf(folder);
  };
  t.strictSame(offences(climbs), []);
});

test('each package has one door', async (t) => {
  const strays = (path: string, from: string): boolean =>
    from in doors && !doors[from]?.some((door) => path.startsWith(door));
  t.strictSame(offences(strays), []);
});

test('what decides is pure: it imports neither node: modules nor packages', async (t) => {
  const acts = (path: string, from: string): boolean =>
    pure.some((place) => path.startsWith(place)) && !/^(\.|#common\/)/.test(from);
  t.strictSame(offences(acts), []);
});

test('no file is longer than 300 code lines', async (t) => {
  const code = (text: string): number =>
    text.split('\n').filter((line) => !/^\s*($|\/\/|\/\*|\*)/.test(line)).length;
  const long = files.filter(({ text }) => code(text) > 300).map(({ path }) => path);
  t.strictSame(long, []);
});

test('every error code has its row in docs/errors.md', async (t) => {
  const codes = Array.from(
    readFileSync('common/errors.ts', 'utf8').matchAll(/^ {2}\| '([A-Z0-9_]+)'/gm),
    (m) => m[1] ?? '',
  );
  const rows = readFileSync('docs/errors.md', 'utf8');
  t.ok(codes.length > 20);
  t.strictSame(
    codes.filter((code) => !rows.includes(`| \`${code}\` |`)),
    [],
  );
});
