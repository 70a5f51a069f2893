/** What a program of the mesh says of itself and the kernel of it, at one moment. */
import { once } from 'node:events';
import { request } from 'node:http';
import { descriptors, residentKb } from '../bench/processes.ts';
import { scrape } from '../bench/scale/scrape.ts';
import type { Program } from '../helpers/program.ts';
import type { Sample } from './slope.ts';

/** The timer by which Node measures the delay of its loop; what it waits for is not delay. */
const PROBE_MS = 10;

export async function sample(program: Program, seconds: number): Promise<Sample> {
  const metrics = await metricsOf(program);
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
async function metricsOf({ socket: path, netns }: Program): Promise<string[]> {
  if (path.endsWith('agent.sock')) return (await scrape(netns.fd)).split('\n');
  const call = request({ socketPath: path, path: '/metrics', headers: { host: 'localhost' } });
  call.end();
  const [response] = await once(call, 'response');
  let content = '';
  for await (const chunk of response) content += String(chunk);
  return content.split('\n');
}
