/**
 * YAML as people write it into the directory: any text yields objects or problems with a line, never an
 * error, and nothing of it reaches a prototype.
 *
 * It is not traffic: whoever can write there owns the mesh. The bound on time is therefore a wide one,
 * and is there so that a slip of the hand does not hold up the controller.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { decodeDocument } from '../../../controller/kube/directory-decode.ts';
import { parseYaml } from '../../../controller/kube/directory-yaml.ts';
import { kindOf, must, type Decoder } from '../decoder.ts';
import { changeTree, mutateLines } from '../mutate.ts';
import type { Random } from '../random.ts';

const LONGEST_MESSAGE = 1000;

function run(input: Buffer): string {
  const { documents, problems } = parseYaml('mesh.yaml', input.toString('utf8'));
  must(documents.length === 0 || problems.length === 0, 'half a file is taken for a whole one');
  const all = [...problems];
  for (const document of documents) {
    const decoded = decodeDocument(document);
    if ('problems' in decoded) {
      must(decoded.problems.length > 0, 'no object, and no problem');
      all.push(...decoded.problems);
    }
  }
  for (const { line, message } of all) {
    must(Number.isSafeInteger(line) && line >= 1, 'a problem without a line');
    must(message.length > 0 && message.length < LONGEST_MESSAGE, `${message.length} characters`);
  }
  must(!('a' in {}) && !('polluted' in {}), 'a prototype was changed');
  const [first] = all;
  return first === undefined ? 'read' : kindOf(first.message).slice(0, 60);
}

/** Changes lines; or, of a text that is JSON and so YAML too, the tree. */
function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  if (random(2) === 0) {
    try {
      const tree: unknown = JSON.parse(from.toString('utf8'));
      return Buffer.from(JSON.stringify(changeTree(random, tree, 0)) ?? '');
    } catch {
      // It is not JSON.
    }
  }
  return mutateLines(random, from, other).subarray(0, 8192);
}

/** Each document by itself, as text and as JSON. */
function seeds(): Buffer[] {
  const directories = ['../../fixtures/directory/good/', '../../../examples/shop/'];
  const texts = directories.flatMap((directory) => {
    const at = new URL(directory, import.meta.url);
    return readdirSync(at)
      .filter((file) => /\.ya?ml$/.test(file))
      .flatMap((file) => readFileSync(new URL(file, at), 'utf8').split(/^---$/m));
  });
  return texts.flatMap((text) => {
    const value = parseYaml('', text).documents[0]?.value;
    return value === undefined ? [] : [Buffer.from(text), Buffer.from(JSON.stringify(value))];
  });
}

const bomb = [
  'a: &a [x,x,x,x,x,x,x,x,x]',
  ...'bcdefghi'.split('').map((c, i) => {
    const before = 'abcdefgh'[i] ?? '';
    return `${c}: &${c} [${Array.from({ length: 9 }, () => `*${before}`).join(',')}]`;
  }),
].join('\n');

export const yamlObjects: Decoder = {
  name: 'yaml-objects',
  seeds: seeds(),
  mutate,
  run,
  budgetMs: 1000,
  costly: {
    'aliases of aliases': Buffer.from(bomb),
    'depth without end': Buffer.from('['.repeat(60_000)),
    'many keys': Buffer.from(Array.from({ length: 5000 }, (_, i) => `key${i}: 1`).join('\n')),
    'many documents': Buffer.from('a: 1\n---\n'.repeat(6000)),
  },
};
