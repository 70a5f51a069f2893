/**
 * The TCP connections that stand in a pod when its capture begins: found, counted, and cut where
 * the pod asks for that.
 *
 * Connections over loopback are none of ours and never listed.
 */
import { readFileSync } from 'node:fs';
import { formatAddress, formatEndpoint, isLoopback } from '#common/address.ts';
import { inNetns } from '#common/sys/netns.ts';
import type { Command } from './command.ts';

export interface Connection {
  readonly local: string;
  readonly peer: string;
}

const ESTABLISHED = '01';
const LINE = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]{2}) /;
/** So many filters fit into the arguments of one program. */
const CUT_AT_ONCE = 200;

export function readConnections(netns: number): readonly Connection[] {
  return inNetns(netns, () =>
    ['tcp', 'tcp6'].flatMap((file) => {
      try {
        return parseConnections(readFileSync(`/proc/thread-self/net/${file}`, 'utf8'));
      } catch {
        return []; // A kernel without IPv6 has no tcp6.
      }
    }),
  );
}

/** Reads the text of /proc/net/tcp or /proc/net/tcp6. */
export function parseConnections(text: string): readonly Connection[] {
  return text.split('\n').flatMap((line) => {
    const [, local = '', localPort = '', peer = '', peerPort = '', state] = LINE.exec(line) ?? [];
    if (state !== ESTABLISHED) return [];
    const from = addressOf(local);
    if (isLoopback(from)) return [];
    return [
      {
        local: formatEndpoint(from, Number.parseInt(localPort, 16)),
        peer: formatEndpoint(addressOf(peer), Number.parseInt(peerPort, 16)),
      },
    ];
  });
}

/** Ends these connections on both sides and returns how many there still were. */
export async function cutConnections(
  command: Command,
  netns: number,
  connections: readonly Connection[],
): Promise<number> {
  let cut = 0;
  for (let i = 0; i < connections.length; i += CUT_AT_ONCE) {
    const filter = connections
      .slice(i, i + CUT_AT_ONCE)
      .map(({ local, peer }) => `( src ${local} and dst ${peer} )`)
      .join(' or ');
    const args = ['-H', '-K', '-t', '-n', 'state', 'established', filter];
    const killed = await command({ program: 'ss', args, netns });
    cut += killed.split('\n').filter((line) => line.trim() !== '').length;
  }
  return cut;
}

/** The kernel prints 32-bit words in the byte order of the machine, which is little-endian. */
function addressOf(hex: string): string {
  const bytes = new Uint8Array(16);
  if (hex.length === 8) bytes.fill(0xff, 10, 12);
  const start = hex.length === 8 ? 12 : 0;
  for (let i = 0; i * 2 < hex.length; i += 1) {
    const swapped = (i & ~3) | (3 - (i & 3));
    bytes[start + swapped] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  }
  return formatAddress(bytes);
}
