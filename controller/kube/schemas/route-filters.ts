/**
 * Filters of HTTPRoute and GRPCRoute: `type`, and the one field that goes with it.
 */
import type { PathChange } from '#common/mesh/route.ts';
import type { FilterSpec, HeaderChanges } from '../../model/route-objects.ts';
import {
  convert,
  flag,
  integer,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  withDefault,
  type Field,
  type Path,
  type Report,
  type Schema,
} from '../schema.ts';
import {
  backendRefFields,
  groupKind,
  headerName,
  headerValue,
  withPort,
} from './gateway-shared.ts';
import { objectName, port } from './shared.ts';

const header = record({ name: required(headerName), value: required(headerValue) });
const headerChanges = convert(
  record({
    set: withDefault(list(header, { max: 16 }), []),
    add: withDefault(list(header, { max: 16 }), []),
    remove: withDefault(list(headerName, { max: 16 }), []),
  }),
  (raw): HeaderChanges => raw,
);

const preciseHost = text('a host name without "*"', (value) =>
  /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(value),
);
const pathText = text('a path of at most 1024 characters', (value) => value.length <= 1024);

const pathChange = convert(
  record({
    type: required(oneOf('ReplaceFullPath', 'ReplacePrefixMatch')),
    replaceFullPath: optional(pathText),
    replacePrefixMatch: optional(pathText),
  }),
  (raw, path, report): PathChange | undefined => {
    const isFull = raw.type === 'ReplaceFullPath';
    const [name, other] = isFull
      ? (['replaceFullPath', 'replacePrefixMatch'] as const)
      : (['replacePrefixMatch', 'replaceFullPath'] as const);
    const value = raw[name];
    if (value === undefined || raw[other] !== undefined) {
      report(path, `type ${raw.type}; expected ${name}, and no ${other}`);
      return undefined;
    }
    return { kind: isFull ? 'full' : 'prefix', value };
  },
);

const STATUSES = [301, 302, 303, 307, 308];
const redirect = record({
  scheme: withDefault(oneOf('', 'http', 'https'), ''),
  hostname: withDefault(preciseHost, ''),
  path: optional(pathChange),
  port: withDefault(port, 0),
  statusCode: withDefault(
    convert(integer(301, 308), (value, path, report) => {
      if (STATUSES.includes(value)) return value;
      report(path, `${value}; expected one of ${STATUSES.join(', ')}`);
      return undefined;
    }),
    302,
  ),
});

const rewrite = record({ hostname: withDefault(preciseHost, ''), path: optional(pathChange) });

const mirror = convert(
  record({
    backendRef: required(withPort(record(backendRefFields))),
    percent: optional(integer(0, 100)),
    fraction: optional(
      record({
        numerator: required(integer(0, 2 ** 31 - 1)),
        denominator: withDefault(integer(1, 2 ** 31 - 1), 100),
      }),
    ),
  }),
  (raw, path, report) => {
    const { percent, fraction, backendRef } = raw;
    if (percent !== undefined && fraction !== undefined) {
      report(path, 'percent and fraction; expected one of the two');
      return undefined;
    }
    if (fraction !== undefined && fraction.numerator > fraction.denominator) {
      report(
        [...path, 'fraction', 'numerator'],
        'more than the denominator; expected at most as much',
      );
      return undefined;
    }
    const share =
      fraction === undefined ? (percent ?? 100) / 100 : fraction.numerator / fraction.denominator;
    return { backend: backendRef, share };
  },
);

const origin = text(
  'an origin such as "https://shop.example", or "*"',
  (value) => value === '*' || /^https?:\/\/[^/?#\s]+$/.test(value),
);
const method = text('a method such as GET, or "*"', (value) => /^(\*|[A-Z]{1,16})$/.test(value));
const headerOrAny = text(
  'a header name, or "*"',
  (value) => value === '*' || /^[A-Za-z0-9!#$%&'+\-.^_`|~]+$/.test(value),
);
const cors = convert(
  record({
    allowOrigins: withDefault(list(origin, { max: 64 }), []),
    allowCredentials: withDefault(flag, false),
    allowMethods: withDefault(list(method, { max: 9 }), []),
    allowHeaders: withDefault(list(headerOrAny, { max: 64 }), []),
    exposeHeaders: withDefault(list(headerOrAny, { max: 64 }), []),
    maxAge: withDefault(integer(1, 2 ** 31 - 1), 5),
  }),
  ({ maxAge, ...rest }) => ({ ...rest, maxAgeSeconds: maxAge }),
);

/** What we do not do is read loosely: the status of the route names it. */
const anything: Schema<true> = { expected: 'anything', read: () => true };

const FIELD_OF = {
  RequestHeaderModifier: 'requestHeaderModifier',
  ResponseHeaderModifier: 'responseHeaderModifier',
  RequestRedirect: 'requestRedirect',
  URLRewrite: 'urlRewrite',
  RequestMirror: 'requestMirror',
  CORS: 'cors',
  ExternalAuth: 'externalAuth',
  ExtensionRef: 'extensionRef',
} as const;
type FilterType = keyof typeof FIELD_OF;

const fields = {
  requestHeaderModifier: optional(headerChanges),
  responseHeaderModifier: optional(headerChanges),
  requestMirror: optional(mirror),
  requestRedirect: optional(redirect),
  urlRewrite: optional(rewrite),
  cors: optional(cors),
  externalAuth: optional(anything),
  extensionRef: optional(record({ ...groupKind, name: required(objectName) })),
};

const httpFilter = convert(
  record({
    type: required(
      oneOf(
        'RequestHeaderModifier',
        'ResponseHeaderModifier',
        'RequestRedirect',
        'URLRewrite',
        'RequestMirror',
        'CORS',
        'ExternalAuth',
        'ExtensionRef',
      ),
    ),
    ...fields,
  }),
  filterOf,
);

const grpcFilter = convert(
  record({
    type: required(
      oneOf('RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror', 'ExtensionRef'),
    ),
    requestHeaderModifier: fields.requestHeaderModifier,
    responseHeaderModifier: fields.responseHeaderModifier,
    requestMirror: fields.requestMirror,
    extensionRef: fields.extensionRef,
  }),
  filterOf,
);

/** Filters of a rule or of a backend. */
export const httpFilters: Field<FilterSpec[]> = withDefault(list(httpFilter, { max: 16 }), []);
export const grpcFilters: Field<FilterSpec[]> = withDefault(list(grpcFilter, { max: 16 }), []);

type RawFilter = { readonly type: FilterType } & {
  readonly [K in keyof typeof fields]?: (typeof fields)[K] extends Field<infer T> ? T : never;
};

function filterOf(raw: RawFilter, path: Path, report: Report): FilterSpec | undefined {
  const own = FIELD_OF[raw.type];
  const given = Object.entries(raw).filter(
    ([name, value]) => name !== 'type' && value !== undefined,
  );
  const stray = given.find(([name]) => name !== own);
  if (stray !== undefined) {
    report([...path, stray[0]], `beside type ${raw.type}; expected ${own} alone`);
    return undefined;
  }
  const spec = specOf(raw);
  if (spec === undefined) report([...path, own], `missing; expected it beside type ${raw.type}`);
  return spec;
}

function specOf(raw: RawFilter): FilterSpec | undefined {
  const { type } = raw;
  switch (type) {
    case 'RequestHeaderModifier':
      return raw.requestHeaderModifier && { type, ...raw.requestHeaderModifier };
    case 'ResponseHeaderModifier':
      return raw.responseHeaderModifier && { type, ...raw.responseHeaderModifier };
    case 'RequestRedirect': {
      if (raw.requestRedirect === undefined) return undefined;
      const { statusCode, ...rest } = raw.requestRedirect;
      return { type, ...rest, status: statusCode };
    }
    case 'URLRewrite':
      return raw.urlRewrite && { type, ...raw.urlRewrite };
    case 'RequestMirror':
      return raw.requestMirror && { type, ...raw.requestMirror };
    case 'CORS':
      return raw.cors && { type, ...raw.cors };
    case 'ExternalAuth':
      return raw.externalAuth && { type };
    case 'ExtensionRef':
      break;
  }
  return raw.extensionRef && { type: 'ExtensionRef' };
}
