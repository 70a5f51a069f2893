/**
 * The network configurations of a node, and our place in them. Pure: files in, files out.
 *
 * A runtime uses the first file by name. There our plugin must be the last of the chain, and nowhere
 * else may it be named: a plugin that is named and missing lets no pod start or end. Who writes a
 * configuration without our plugin is left what he wrote, with the plugin added.
 */
import { MeshError } from '#common/errors.ts';

export const PLUGIN = 'plumbline';

/**
 * A file with one plugin (`.conf`) cannot be chained to. It stays as it is, and a chain made of it goes
 * into a file of our own before it; `-` sorts before every digit and letter.
 */
export const OWN_FILE = '0-plumbline.conflist';

/** What the directory should be like; names that are not mentioned stay as they are. */
export interface Changes {
  readonly write: ReadonlyMap<string, string>;
  readonly remove: readonly string[];
  /** The file in which the plugin stands afterwards; undefined when there is nothing to chain to. */
  readonly chainedIn: string | undefined;
}

type Json = Readonly<Record<string, unknown>>;

/** The files that a runtime looks at, in its order. */
export function configurations(names: readonly string[]): string[] {
  return names.filter((name) => /\.(conf|conflist|json)$/.test(name)).toSorted(byBytes);
}

/** Chains the plugin to the first configuration, and takes it out of all others. */
export function chained(files: ReadonlyMap<string, string>): Changes {
  const names = configurations([...files.keys()]);
  const base = names.find((name) => name !== OWN_FILE);
  if (base === undefined) return unchained(files);
  const text = files.get(base) ?? '';
  const first = read(base, text);
  const write = new Map<string, string>();
  const others = new Map([...files].filter(([name]) => name !== base && name !== OWN_FILE));
  for (const [name, without] of unchained(others).write) write.set(name, without);
  const plugins = pluginsOf(first);
  if (plugins !== undefined) {
    const wanted = withPlugin(first, plugins);
    if (wanted !== undefined) write.set(base, wanted);
    return { write, remove: files.has(OWN_FILE) ? [OWN_FILE] : [], chainedIn: base };
  }
  if (byBytes(OWN_FILE, base) > 0) {
    throw invalid(base, `a name that does not come before "${OWN_FILE}"`);
  }
  const { cniVersion, name, ...plugin } = first;
  if (typeof plugin['type'] !== 'string') throw invalid(base, 'a type, or a list of plugins');
  const own = { cniVersion, name, plugins: [plugin, { type: PLUGIN }] };
  const wanted = spell(own);
  if (files.get(OWN_FILE) !== wanted) write.set(OWN_FILE, wanted);
  return { write, remove: [], chainedIn: OWN_FILE };
}

/** Takes the plugin out of every configuration. What cannot be read does not name it in a chain. */
export function unchained(files: ReadonlyMap<string, string>): Changes {
  const write = new Map<string, string>();
  for (const name of configurations([...files.keys()])) {
    if (name === OWN_FILE) continue;
    const text = files.get(name) ?? '';
    if (!text.includes(`"${PLUGIN}"`)) continue;
    const list = parse(text);
    const plugins = list && pluginsOf(list);
    const rest = plugins?.filter((plugin) => !isOurs(plugin));
    if (plugins === undefined || rest === undefined || rest.length === plugins.length) continue;
    write.set(name, spell({ ...list, plugins: rest }));
  }
  return { write, remove: files.has(OWN_FILE) ? [OWN_FILE] : [], chainedIn: undefined };
}

/** Undefined when it is the last of the chain, once, already. */
function withPlugin(list: Json, plugins: readonly unknown[]): string | undefined {
  const rest = plugins.filter((plugin) => !isOurs(plugin));
  if (rest.length === plugins.length - 1 && isOurs(plugins.at(-1))) return undefined;
  return spell({ ...list, plugins: [...rest, { type: PLUGIN }] });
}

function isOurs(plugin: unknown): boolean {
  return isObject(plugin) && plugin['type'] === PLUGIN;
}

function pluginsOf(list: Json): readonly unknown[] | undefined {
  const { plugins } = list;
  return Array.isArray(plugins) ? plugins : undefined;
}

function read(name: string, text: string): Json {
  const value = parse(text);
  if (value === undefined) throw invalid(name, 'an object in JSON');
  return value;
}

function parse(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function spell(value: Json): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function invalid(name: string, expected: string): MeshError {
  return new MeshError(
    'CONFIG_INVALID',
    `Cannot chain the CNI plugin in "${name}": expected ${expected}`,
  );
}

/** As the runtime sorts them: by the bytes of the name. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
