/**
 * A peer as a file describes it: its name, its program, and a command for each side. The three that
 * Plumbline is judged by are such files (peers/*.json), and so is whatever `--peer` names.
 *
 * Reading a description is pure and refuses what it does not know; docs/bench.md has the format.
 */

/** One side of the pair. */
export interface PeerSide {
  readonly command: readonly string[];
  /** A template beside the description; filled in, it stands at `@CONFIG@`. */
  readonly config: string | undefined;
}

export interface PeerDescription {
  readonly name: string;
  /** A name in PATH, a path, or `$NAME` for a variable of the environment that holds one. */
  readonly program: string;
  /** What to do when the program is not there. */
  readonly install: string;
  /** The client's side: takes redirected plain TCP at `@LISTEN@`, speaks mutual TLS. */
  readonly out: PeerSide;
  /** The server's side: takes mutual TLS at `@MTLS@`, speaks plain TCP to `@SERVER@:@APP@`. */
  readonly in: PeerSide;
}

const FIELDS = ['name', 'program', 'install', 'out', 'in'];

/** Reads a description; throws a sentence that says which field is wrong. */
export function peerOf(raw: unknown, where: string): PeerDescription {
  const fields = record(raw, where);
  const unknown = Object.keys(fields).filter((key) => !FIELDS.includes(key));
  if (unknown.length > 0) throw new TypeError(`${where}: unknown field "${unknown.join('", "')}"`);
  const name = text(fields['name'], `${where}: name`);
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name))
    throw new TypeError(`${where}: name "${name}" is not of a-z, 0-9 and "-"`);
  const program = text(fields['program'], `${where}: program`);
  const install = fields['install'] ?? `"${program}" is not installed`;
  return {
    name,
    program,
    install: text(install, `${where}: install`),
    out: side(fields['out'], `${where}: out`),
    in: side(fields['in'], `${where}: in`),
  };
}

function side(raw: unknown, where: string): PeerSide {
  const { command, config } = record(raw, where);
  if (!Array.isArray(command) || command.length === 0)
    throw new TypeError(`${where}: command is not a list of words`);
  return {
    command: command.map((word: unknown) => text(word, `${where}: command`)),
    config: config === undefined ? undefined : text(config, `${where}: config`),
  };
}

/** Puts values in the place of `@NAME@`; a placeholder that nobody knows is an error. */
export function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/@([A-Z]+)@/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new TypeError(
        `${whole} is no placeholder; there are ${Object.keys(values).join(', ')}`,
      );
    return value;
  });
}

function record(raw: unknown, where: string): Record<string, unknown> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw new TypeError(`${where}: not an object`);
  return { ...raw };
}

function text(raw: unknown, where: string): string {
  if (typeof raw !== 'string' || raw === '') throw new TypeError(`${where}: not a word`);
  return raw;
}
