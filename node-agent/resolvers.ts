/** The resolvers of this node, for the DNS questions of captured pods that the mesh does not answer. */
import { readFile } from 'node:fs/promises';
import { canonicalAddress, parseAddress } from '#common/address.ts';

export interface Resolver {
  readonly address: string;
  readonly port: number;
}

const DNS_PORT = 53;

/** Reads `nameserver` lines (resolv.conf(5)); at most three count, and none is no error. */
export async function readResolvers(path: string): Promise<Resolver[]> {
  const content = await readFile(path, 'utf8').catch(() => '');
  return parseResolvers(content);
}

export function parseResolvers(content: string): Resolver[] {
  return Array.from(content.matchAll(/^nameserver[ \t]+(\S+)/gm), (found) => found[1] ?? '')
    .filter((address) => parseAddress(address) !== undefined)
    .slice(0, 3)
    .map((address) => ({ address: canonicalAddress(address), port: DNS_PORT }));
}
