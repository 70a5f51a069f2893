/** The schemas of the manifests and the decoder's know the same fields, at every level. */
import { test } from 'tap';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { isMapping } from '../../../controller/kube/schema.ts';
import { CASES } from '../../helpers/crd-cases.ts';
import {
  CUSTOM_KINDS,
  type CustomKind,
  decoderSays,
  FULL,
  PLURALS,
} from '../../helpers/crd-full.ts';

interface SchemaNode {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode;
}

interface Crd {
  readonly spec: {
    readonly names: { readonly shortNames: readonly string[] };
    readonly versions: readonly {
      readonly subresources?: { readonly status?: object };
      readonly additionalPrinterColumns: readonly { readonly name: string }[];
      readonly schema: { readonly openAPIV3Schema: SchemaNode };
    }[];
  };
}

function crdOf(kind: CustomKind): Crd {
  const crd: Crd = parse(readFileSync(`manifests/10-crd-${PLURALS[kind]}.yaml`, 'utf8'));
  return crd;
}

/** Every mapping with named fields in `spec`, as `spec.rules[].from[].source`, and the names of its fields. */
function mappings(node: SchemaNode, path: string): [string, string[]][] {
  const { properties, items, additionalProperties } = node;
  return [
    ...(properties === undefined
      ? []
      : [[path, Object.keys(properties).toSorted()] as [string, string[]]]),
    ...Object.entries(properties ?? {}).flatMap(([name, one]) => mappings(one, `${path}.${name}`)),
    ...(items === undefined ? [] : mappings(items, `${path}[]`)),
    ...(additionalProperties === undefined ? [] : mappings(additionalProperties, `${path}{}`)),
  ];
}

/** The mappings inside `value` that the schema gives named fields, each with its schema's path. */
function places(
  node: SchemaNode,
  value: unknown,
  path: string,
): [string, Record<string, unknown>][] {
  if (Array.isArray(value)) {
    return value.flatMap((one: unknown) => places(node.items ?? {}, one, `${path}[]`));
  }
  if (!isMapping(value)) return [];
  return [
    ...(node.properties === undefined ? [] : [[path, value] as [string, Record<string, unknown>]]),
    ...Object.entries(value).flatMap(([name, one]) => {
      const inner = node.properties?.[name];
      return inner === undefined
        ? places(node.additionalProperties ?? {}, one, `${path}{}`)
        : places(inner, one, `${path}.${name}`);
    }),
  ];
}

for (const kind of CUSTOM_KINDS) {
  test(`the CRD of ${kind} has the fields that the decoder reads, and no other`, async (t) => {
    const [version] = crdOf(kind).spec.versions;
    const spec = version?.schema.openAPIV3Schema.properties?.['spec'] ?? {};
    const expected = new Map(mappings(spec, 'spec'));
    const found = new Map<string, string[]>();
    for (const object of FULL.filter((one) => one.kind === kind)) {
      for (const [path, place] of places(spec, object.spec, 'spec')) {
        place['zz'] = 1;
        const [, names = ''] =
          /unknown field "zz"; expected one of (.*)/.exec(decoderSays(object).join()) ?? [];
        delete place['zz'];
        found.set(
          path,
          names
            .replace(/; did you mean.*/, '')
            .split(', ')
            .toSorted(),
        );
      }
    }
    t.ok(expected.size > 0);
    t.strictSame(Object.fromEntries(found), Object.fromEntries(expected));
  });

  test(`the CRD of ${kind} explains itself`, async (t) => {
    const { names, versions } = crdOf(kind).spec;
    t.equal(names.shortNames.length, 1);
    for (const version of versions) {
      t.ok(version.subresources?.status);
      const columns = version.additionalPrinterColumns.map(({ name }) => name);
      t.ok(columns.includes('Accepted') && columns.includes('Age'), columns.join());
      const spec = version.schema.openAPIV3Schema.properties?.['spec'] ?? {};
      t.strictSame(silent(spec, 'spec'), [], 'every field of the spec has a description');
    }
  });
}

/** Fields without a description; the sole field of a wrapper, such as `source`, speaks for it. */
function silent(node: SchemaNode, path: string): string[] {
  const inner = Object.entries(node.properties ?? {}).flatMap(([name, one]) => [
    ...(one.description === undefined ? [`${path}.${name}`] : []),
    ...silent(one, `${path}.${name}`),
  ]);
  return node.items === undefined ? inner : [...inner, ...silent(node.items, `${path}[]`)];
}

for (const { name, object, decoder } of CASES) {
  test(`the decoder ${decoder === undefined ? 'takes' : 'refuses'} ${name}`, async (t) => {
    const said = decoderSays(object).join('\n');
    if (decoder === undefined) t.equal(said, '');
    else t.match(said, decoder);
  });
}
