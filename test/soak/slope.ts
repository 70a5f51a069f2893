/**
 * What a long run's samples say: slopes by least squares, and whether they hold; pure.
 *
 * A run too short for a slope of memory is told so, and judged by how much it grew in all.
 */

export interface Point {
  readonly seconds: number;
  readonly value: number;
}

const HOUR_SECONDS = 3600;

/** Change per hour of the line that fits best; NaN for fewer than two moments. */
export function slopePerHour(points: readonly Point[]): number {
  const count = points.length;
  const meanX = points.reduce((sum, { seconds }) => sum + seconds, 0) / count;
  const meanY = points.reduce((sum, { value }) => sum + value, 0) / count;
  let [xy, xx] = [0, 0];
  for (const { seconds, value } of points) {
    xy += (seconds - meanX) * (value - meanY);
    xx += (seconds - meanX) ** 2;
  }
  return xx === 0 ? Number.NaN : (xy / xx) * HOUR_SECONDS;
}

/** The value that a share of all values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** What is known of one process over the run, oldest first. */
export interface Sample {
  readonly seconds: number;
  readonly rssMb: number;
  readonly heapMb: number;
  readonly descriptors: number;
  /** Timers, sockets and all else that Node counts as active. */
  readonly handles: number;
  readonly timers: number;
  /** p99 since the sample before. */
  readonly loopDelayMs: number;
}

/** At the beginning, at the end, and the slope between. */
type Course = readonly [first: number, last: number, perHour: number];

export interface Findings {
  readonly process: string;
  readonly samples: number;
  readonly rssMb: Course;
  readonly heapMb: Course;
  readonly descriptors: Course;
  readonly handles: Course;
  readonly timers: Course;
  /** In nine of ten intervals, and in the worst. */
  readonly loopDelayMs: readonly [usual: number, worst: number];
  /** Sentences; none means that it holds. */
  readonly failures: readonly string[];
  readonly notes: readonly string[];
}

/** Below this the slope of memory says more of V8's heap than of a leak. */
const TELLING_SECONDS = 1800;
const MOST_MB_PER_HOUR = 1;
/** For a run too short to tell: what collections and warm-up explain. */
const MOST_GROWTH_MB = 24;
/** Each thread keeps its namespace at hand; files and requests come and go. */
const SLACK = 8;
const MOST_LOOP_DELAY_MS = 20;
/** Below this lateness is told, not judged. */
const LATENESS_SECONDS = 300;

/**
 * Judges one process: slopes of its samples from `warmSeconds` on, and what it has open at the end
 * against the beginning, both taken under the same load and with nothing being done to the mesh.
 */
export function judge(
  process: string,
  { start, during, end }: { start: Sample; during: readonly Sample[]; end: Sample },
  warmSeconds: number,
): Findings {
  const samples = during.filter(({ seconds }) => seconds >= warmSeconds);
  const slope = (key: Exclude<keyof Sample, 'seconds'>): number =>
    slopePerHour(samples.map((sample) => ({ seconds: sample.seconds, value: sample[key] })));
  const series = (key: Exclude<keyof Sample, 'seconds'>): [number, number, number] => [
    start[key],
    end[key],
    slope(key),
  ];
  const span = (samples.at(-1)?.seconds ?? 0) - (samples[0]?.seconds ?? 0);
  const rssMb = series('rssMb');
  const delays = samples.map(({ loopDelayMs }) => loopDelayMs).filter(Number.isFinite);
  const found = {
    process,
    samples: samples.length,
    rssMb,
    heapMb: series('heapMb'),
    descriptors: series('descriptors'),
    handles: series('handles'),
    timers: series('timers'),
    loopDelayMs: [quantile(delays, 0.9), Math.max(...delays)] as const,
  };
  const failures: string[] = [];
  const notes: string[] = [];
  if (samples.length < 2) failures.push('too few samples');
  if (span < TELLING_SECONDS) {
    notes.push(`${Math.round(span / 60)} min after warm-up are too short for a slope of RSS`);
    const growth = (rssMb[2] * span) / HOUR_SECONDS;
    if (growth > MOST_GROWTH_MB) failures.push(`RSS grew by ${growth.toFixed(1)} MB`);
  } else if (rssMb[2] >= MOST_MB_PER_HOUR) {
    failures.push(`RSS rises by ${rssMb[2].toFixed(2)} MB an hour`);
  }
  for (const key of ['descriptors', 'handles', 'timers'] as const) {
    const [first, last] = found[key];
    if (!(last <= first + SLACK)) failures.push(`${key} went from ${first} to ${last}`);
  }
  if (found.loopDelayMs[0] >= MOST_LOOP_DELAY_MS) {
    const late = `the event loop is late by ${found.loopDelayMs[0].toFixed(1)} ms at p99`;
    // A minute on a machine that does other things says nothing of the program.
    (span < LATENESS_SECONDS ? notes : failures).push(late);
  }
  return { ...found, failures, notes };
}

/** Whether what is open is back to what it was. */
export function isBack(start: Sample, end: Sample): boolean {
  return (['descriptors', 'handles', 'timers'] as const).every(
    (key) => end[key] <= start[key] + SLACK,
  );
}

/** One line a process. */
export function table(findings: readonly Findings[]): string {
  const head =
    '| process | RSS MB, first, last, per hour | heap MB | descriptors | handles | timers | loop p99 ms, usual, worst |';
  const span = ([first, last, perHour]: readonly number[], digits: number): string =>
    `${first?.toFixed(digits)} → ${last?.toFixed(digits)} (${perHour?.toFixed(1)}/h)`;
  const lines = findings.map(
    (one) =>
      `| ${one.process} | ${span(one.rssMb, 1)} | ${span(one.heapMb, 1)} | ${span(one.descriptors, 0)} | ${span(one.handles, 0)} | ${span(one.timers, 0)} | ${one.loopDelayMs.map((ms) => ms.toFixed(1)).join(', ')} |`,
  );
  return [head, '| --- | --- | --- | --- | --- | --- | --- |', ...lines].join('\n');
}
