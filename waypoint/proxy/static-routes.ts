/**
 * Routes out of a file, for waypoints that no controller tells theirs: the first rule that matches
 * takes the request.
 *
 * Reading checks everything and names the place of what is wrong; deciding allocates nothing.
 */
import { parseAddress } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import { isFieldName, isFieldText } from '#common/http1/writer.ts';
import type { Answer, Caller, Destination, Forward, RequestView, Router } from './router.ts';

interface Rule {
  /** Lower case; '' for every host. */
  readonly host: string;
  readonly prefix: string;
  readonly header: readonly [name: string, value: string] | undefined;
  /** With the sum of weights up to and with each; the last is the whole. */
  readonly backends: readonly { readonly upTo: number; readonly forward: Forward }[];
  readonly whole: number;
}

const NO_ROUTE: Answer = { kind: 'answer', status: 404, reason: 'NO_ROUTE' };
const NO_ENDPOINT: Answer = { kind: 'answer', status: 503, reason: 'NO_HEALTHY_ENDPOINT' };

export class StaticRoutes implements Router {
  readonly #rules: readonly Rule[];
  readonly #random: () => number;

  constructor(text: string, random: () => number = Math.random) {
    this.#rules = readRules(text);
    this.#random = random;
  }

  decide(request: RequestView, _caller: Caller): Forward | Answer {
    for (const rule of this.#rules) {
      if (rule.host !== '' && rule.host !== request.host) continue;
      if (rule.prefix !== '/' && !hasPrefix(request.path, rule.prefix)) continue;
      const { header } = rule;
      if (header !== undefined && request.header(header[0]) !== header[1]) continue;
      return this.#pick(rule);
    }
    return NO_ROUTE;
  }

  #pick({ backends, whole }: Rule): Forward | Answer {
    const point = backends.length === 1 ? 0 : this.#random() * whole;
    for (const { upTo, forward } of backends) if (point < upTo) return forward;
    return NO_ENDPOINT;
  }
}

/** A prefix of whole elements of the path, as the Gateway API has it. */
function hasPrefix(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  const next = path[prefix.length];
  return prefix.endsWith('/') || next === undefined || next === '/';
}

function readRules(text: string): Rule[] {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new MeshError('CONFIG_INVALID', 'Cannot read the routes: no JSON', { cause });
  }
  const endpoints = new Map<string, Destination>();
  return list(raw, 'routes').map((one, i) => readRule(one, `routes[${i}]`, endpoints));
}

function readRule(raw: unknown, where: string, endpoints: Map<string, Destination>): Rule {
  const fields = record(raw, where, ['host', 'prefix', 'header', 'set', 'timeoutMs', 'backends']);
  const prefix = textOf(fields['prefix'] ?? '/', `${where}.prefix`);
  if (!prefix.startsWith('/'))
    throw wrong(`${where}.prefix`, 'a path that begins with "/"', prefix);
  const set = pairs(fields['set'], `${where}.set`);
  const [header] = pairs(fields['header'], `${where}.header`);
  const timeoutMs = number(fields['timeoutMs'] ?? 0, `${where}.timeoutMs`);
  let whole = 0;
  const backends = list(fields['backends'], `${where}.backends`).map((one, i) => {
    const at = `${where}.backends[${i}]`;
    const backend = record(one, at, ['address', 'port', 'protocol', 'weight']);
    whole += number(backend['weight'] ?? 1, `${at}.weight`);
    const forward: Forward = {
      kind: 'forward',
      to: readDestination(backend, at, endpoints),
      timeoutMs,
      ...(set.length > 0 && {
        onRequest: (request) => {
          for (const [name, value] of set) request.set(name, value);
        },
      }),
    };
    return { upTo: whole, forward };
  });
  return {
    host: textOf(fields['host'] ?? '', `${where}.host`).toLowerCase(),
    prefix,
    header,
    backends,
    whole,
  };
}

function readDestination(
  fields: Readonly<Record<string, unknown>>,
  where: string,
  endpoints: Map<string, Destination>,
): Destination {
  const address = textOf(fields['address'], `${where}.address`);
  if (parseAddress(address) === undefined)
    throw wrong(`${where}.address`, 'an IP address', address);
  const port = number(fields['port'], `${where}.port`);
  if (port < 1 || port > 65_535) throw wrong(`${where}.port`, '1 to 65535', port);
  const protocol = textOf(fields['protocol'] ?? 'http1', `${where}.protocol`);
  if (protocol !== 'http1' && protocol !== 'http2') {
    throw wrong(`${where}.protocol`, '"http1" or "http2"', protocol);
  }
  const key = `${address}|${port}|${protocol}`;
  const known = endpoints.get(key) ?? { address, port, protocol };
  endpoints.set(key, known);
  return known;
}

function pairs(raw: unknown, where: string): (readonly [string, string])[] {
  if (raw === undefined) return [];
  return Object.entries(record(raw, where)).map(([name, value]) => {
    const found = textOf(value, `${where}.${name}`);
    const isGood = isFieldName(name) && name === name.toLowerCase() && isFieldText(found);
    if (!isGood) throw wrong(`${where}.${name}`, 'a field name in lower case and its value', found);
    return [name, found] as const;
  });
}

function record(raw: unknown, where: string, known?: readonly string[]): Record<string, unknown> {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw))
    throw wrong(where, 'an object', raw);
  const fields = new Map(Object.entries(raw));
  const unknown = known && [...fields.keys()].find((key) => !known.includes(key));
  if (unknown !== undefined) throw wrong(where, `one of ${known?.join(', ')}`, unknown);
  return Object.fromEntries(fields);
}

function list(raw: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(raw)) throw wrong(where, 'a list', raw);
  return raw;
}

function textOf(raw: unknown, where: string): string {
  if (typeof raw !== 'string') throw wrong(where, 'a text', raw);
  return raw;
}

function number(raw: unknown, where: string): number {
  if (typeof raw !== 'number' || !Number.isInteger(raw) || raw < 0)
    throw wrong(where, 'a whole number', raw);
  return raw;
}

function wrong(where: string, expected: string, found: unknown): MeshError {
  const shown = JSON.stringify(found) ?? 'nothing';
  return new MeshError(
    'CONFIG_INVALID',
    `Cannot read the routes: ${where}: expected ${expected}, found ${shown}`,
  );
}
