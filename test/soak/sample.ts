/** What a program of the mesh says of itself and the kernel of it, at one moment. */
import { once } from 'node:events';
import { request } from 'node:http';
import { Socket } from 'node:net';
import { socket } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { descriptors, residentKb } from '../bench/processes.ts';
import type { Program } from '../helpers/program.ts';
import type { Sample } from './slope.ts';

const METRICS_PORT = 15_020;
/** The timer by which Node measures the delay of its loop; what it waits for is not delay. */
const PROBE_MS = 10;

export async function sample(program: Program, seconds: number): Promise<Sample> {
  const metrics = await scrape(program);
  const value = (name: string): number =>
    Number(
      metrics
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')
        .at(-1),
    );
  const timers = value('nodejs_active_resources{type="Timeout"}');
  return {
    seconds,
    rssMb: residentKb(program.pid) / 1024,
    heapMb: value('nodejs_heap_size_used_bytes') / 2 ** 20,
    descriptors: descriptors(program.pid),
    handles: value('nodejs_active_resources_total'),
    // A kind that there is none of has no line.
    timers: Number.isNaN(timers) ? 0 : timers,
    loopDelayMs: Math.max(0, value('nodejs_eventloop_lag_p99_seconds') * 1000 - PROBE_MS),
  };
}

/** The controller answers on its socket; an agent on its node, as it does to Prometheus. */
async function scrape({ socket: path, netns }: Program): Promise<string[]> {
  const where = path.endsWith('agent.sock')
    ? { createConnection: () => intoNode(netns.fd) }
    : { socketPath: path };
  const call = request({ ...where, path: '/metrics', headers: { host: 'localhost' } });
  call.end();
  const [response] = await once(call, 'response');
  let content = '';
  for await (const chunk of response) content += String(chunk);
  return content.split('\n');
}

function intoNode(netns: number): Socket {
  const fd = inNetns(netns, () => socket(4));
  const made = new Socket({ fd, readable: true, writable: true });
  made.connect({ host: '127.0.0.1', port: METRICS_PORT });
  return made;
}
