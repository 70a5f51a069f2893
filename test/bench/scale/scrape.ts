/** Metrics of an agent, asked for inside its node, as Prometheus does. */
import { once } from 'node:events';
import { request } from 'node:http';
import { Socket } from 'node:net';
import { socket } from '#common/sys/libc.ts';
import { closeNetns, inNetns, openNetns } from '#common/sys/netns.ts';

const METRICS_PORT = 15_020;

/** `node` is the name of a namespace, or an open one. */
export async function scrape(node: string | number): Promise<string> {
  const call = request({
    createConnection: () => connectIn(node),
    path: '/metrics',
    headers: { host: 'localhost' },
  });
  call.end();
  const [response] = await once(call, 'response');
  let content = '';
  for await (const chunk of response) content += String(chunk);
  return content;
}

function connectIn(node: string | number): Socket {
  const netns = typeof node === 'number' ? node : openNetns(`/run/netns/${node}`);
  const fd = inNetns(netns, () => socket(4));
  if (typeof node === 'string') closeNetns(netns);
  const made = new Socket({ fd, readable: true, writable: true });
  made.connect({ host: '127.0.0.1', port: METRICS_PORT });
  return made;
}
