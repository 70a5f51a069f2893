/** HTTP out of a namespace: what a scraper or a prober asks, from where it would ask. */
import { once } from 'node:events';
import { request } from 'node:http';
import { Socket } from 'node:net';
import { familyOf } from '#common/address.ts';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';

/** Asks once; resolves to the body of a 200, rejects otherwise. */
export async function getText(
  netns: number,
  to: { readonly address: string; readonly port: number },
  path: string,
): Promise<string> {
  const call = request({
    path,
    headers: { host: 'localhost', connection: 'close' },
    createConnection: () => {
      const fd = inNetns(netns, () => socket(familyOf(to.address)));
      return new Socket({ fd, readable: true, writable: true }).connect({
        host: to.address,
        port: to.port,
      });
    },
  });
  call.end();
  const [response] = await once(call, 'response');
  let body = '';
  for await (const chunk of response) body += String(chunk);
  if (response.statusCode !== 200) throw new Error(`${path} answered ${response.statusCode}`);
  return body;
}

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads the text format of Prometheus. */
export function parseSeries(text: string): Series[] {
  return Array.from(text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm), ([, name = '', all, value]) => ({
    name,
    labels: Object.fromEntries(
      Array.from((all ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g), (one) => [
        one[1] ?? '',
        one[2] ?? '',
      ]),
    ),
    value: Number(value),
  }));
}

/** The sum of the series of a name that have these labels. */
export function sumOf(
  all: readonly Series[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return all
    .filter(
      (one) =>
        one.name === name && Object.entries(labels).every(([key, v]) => one.labels[key] === v),
    )
    .reduce((sum, { value }) => sum + value, 0);
}
