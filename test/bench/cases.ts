/** What is measured: each case is one call of the load generator, and what its result means. */

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly better: 'more' | 'less';
  readonly digits: number;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** Arguments of `load`, but for address, port, time and process ids. */
  readonly args: readonly string[];
  readonly metrics: readonly Metric[];
  /** All of client, server and proxies on one CPU: the clean figure for a single message. */
  readonly oneCpu?: boolean;
  /** Ours alone, started anew with as many data workers and left without load. */
  readonly unloadedWithWorkers?: number;
  /** Also in the quick run, which has no time for all. */
  readonly quick?: true;
}

const STREAM: readonly Metric[] = [
  { key: 'gbit', title: 'Gbit/s', better: 'more', digits: 2 },
  { key: 'cpu_per_gb', title: 'CPU-s/GB', better: 'less', digits: 2 },
];
const TRIP: readonly Metric[] = [
  { key: 'rate', title: 'round trips/s', better: 'more', digits: 0 },
  { key: 'p50', title: 'p50 us', better: 'less', digits: 1 },
  { key: 'p99', title: 'p99 us', better: 'less', digits: 0 },
  { key: 'p999', title: 'p99.9 us', better: 'less', digits: 0 },
  { key: 'cpu_ms_per_1k', title: 'CPU ms/1,000', better: 'less', digits: 1 },
];
const CONNECT: readonly Metric[] = [
  { key: 'rate', title: 'connections/s', better: 'more', digits: 0 },
  { key: 'p99', title: 'p99 us', better: 'less', digits: 0 },
  { key: 'cpu_ms_per_1k', title: 'CPU ms/1,000', better: 'less', digits: 0 },
];
const IDLE: readonly Metric[] = [
  { key: 'kb_per_connection', title: 'KB/connection', better: 'less', digits: 2 },
  { key: 'rss_mb', title: 'RSS MB, both', better: 'less', digits: 0 },
];
const UNLOADED: readonly Metric[] = [
  { key: 'largest_rss_mb', title: 'RSS MB, the larger agent', better: 'less', digits: 0 },
];

export const CASES: readonly BenchCase[] = [
  { name: 'up1', title: 'one stream up', args: ['stream', '-n', '1', '-d', 'up'], metrics: STREAM },
  {
    name: 'down1',
    title: 'one stream down',
    args: ['stream', '-n', '1', '-d', 'down'],
    metrics: STREAM,
  },
  {
    name: 'up8',
    title: 'eight streams up',
    args: ['stream', '-n', '8', '-d', 'up'],
    metrics: STREAM,
    quick: true,
  },
  {
    name: 'down8',
    title: 'eight streams down',
    args: ['stream', '-n', '8', '-d', 'down'],
    metrics: STREAM,
    quick: true,
  },
  {
    name: 'rr1',
    title: '1 B round trips, 1 connection',
    args: ['rr', '-n', '1', '-s', '1'],
    metrics: TRIP,
  },
  {
    name: 'rr1k',
    title: '1 KB round trips, 1 connection',
    args: ['rr', '-n', '1', '-s', '1024'],
    metrics: TRIP,
  },
  {
    name: 'rr1k-one-cpu',
    title: '1 KB round trips, 1 connection, all on one CPU',
    args: ['rr', '-n', '1', '-s', '1024'],
    metrics: TRIP,
    quick: true,
    oneCpu: true,
  },
  {
    name: 'rr32',
    title: '1 B round trips, 32 connections',
    args: ['rr', '-n', '32', '-s', '1'],
    metrics: TRIP,
  },
  {
    name: 'rr32k',
    title: '1 KB round trips, 32 connections',
    args: ['rr', '-n', '32', '-s', '1024'],
    metrics: TRIP,
    quick: true,
  },
  {
    name: 'crr8',
    title: 'new connections, 8 at a time',
    args: ['crr', '-n', '8'],
    metrics: CONNECT,
    quick: true,
  },
  {
    name: 'idle1000',
    title: '1,000 idle connections',
    args: ['conns', '-n', '1000'],
    metrics: IDLE,
    quick: true,
  },
  {
    name: 'idle5000',
    title: '5,000 idle connections',
    args: ['conns', '-n', '5000'],
    metrics: IDLE,
  },
  {
    name: 'rss-idle',
    title: 'idle agents, two data workers',
    args: [],
    metrics: UNLOADED,
    unloadedWithWorkers: 2,
    quick: true,
  },
];
