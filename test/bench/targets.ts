/**
 * What Plumbline has to reach on two cores, per case and metric; pure.
 *
 * A `ratio` is ours to the best of HAProxy, nginx and Envoy in that column, so each column is judged
 * against whoever is best in it; an `absolute` target is judged by our median alone.
 */

export interface Target {
  readonly kind: 'ratio' | 'absolute';
  readonly bound: 'least' | 'most';
  readonly value: number;
}

const atLeast = (value: number): Target => ({ kind: 'ratio', bound: 'least', value });
const atMost = (value: number): Target => ({ kind: 'ratio', bound: 'most', value });
const below = (value: number): Target => ({ kind: 'absolute', bound: 'most', value });

const STREAM = { gbit: atLeast(1.1), cpu_per_gb: atMost(0.8) };
const IDLE = { kb_per_connection: below(3) };

const TARGETS: Readonly<Record<string, Readonly<Record<string, Target>>>> = {
  up1: STREAM,
  down1: STREAM,
  up8: STREAM,
  down8: STREAM,
  'rr1k-one-cpu': { p50: atMost(1), p99: atMost(1) },
  rr32k: { rate: atLeast(1.2), cpu_ms_per_1k: atMost(0.65) },
  crr8: { rate: atLeast(2), cpu_ms_per_1k: atMost(0.4) },
  idle1000: IDLE,
  idle5000: IDLE,
  'rss-idle': { largest_rss_mb: below(120) },
};

/** The target of a column, if it has one. */
export function targetOf(name: string, metric: string): Target | undefined {
  return TARGETS[name]?.[metric];
}

/** Whether it is reached; undefined where there is nothing to compare with. */
export function isMet(
  { kind, bound, value }: Target,
  median: number,
  ratio: number | undefined,
): boolean | undefined {
  const figure = kind === 'ratio' ? ratio : median;
  if (figure === undefined || Number.isNaN(figure)) return undefined;
  return bound === 'least' ? figure >= value : figure <= value;
}

/** For people: `>= 1.1 x best peer`, `<= 120`. */
export function spell({ kind, bound, value }: Target): string {
  return `${bound === 'least' ? '>=' : '<='} ${value}${kind === 'ratio' ? ' x best peer' : ''}`;
}
