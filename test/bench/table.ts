/** From single results to medians, spreads, ratios and Markdown; pure. */
import type { BenchCase, Metric } from './cases.ts';
import { isMet, spell, targetOf } from './targets.ts';

export interface Result {
  readonly case: string;
  readonly subject: string;
  readonly round: number;
  /** Figures by metric key; absent when the run failed. */
  readonly figures?: Readonly<Record<string, number>>;
  readonly error?: string;
}

export interface Row {
  readonly case: string;
  readonly metric: string;
  readonly subject: string;
  readonly median: number;
  readonly spread: readonly [number, number];
  /** Of our median to that of the best peer in this column; only in our own rows, as are the next two. */
  readonly peer?: string;
  readonly ratio?: number;
  readonly target?: string;
  readonly met?: boolean;
}

/** Who is ours and who are the peers that it is judged by; anybody else stands beside them. */
export interface Sides {
  readonly ours: string;
  readonly peers: readonly string[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[(sorted.length - 1) >> 1];
  const high = sorted[sorted.length >> 1];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** Makes one row per case, metric and subject; ours is compared with the best peer of the column. */
export function summarize(
  results: readonly Result[],
  cases: readonly BenchCase[],
  sides: Sides,
): Row[] {
  return cases.flatMap((one) =>
    one.metrics.flatMap((metric) => judged(rowsOf(results, one.name, metric), metric, sides)),
  );
}

/** The rows as a file has them: every key always there, null where there is nothing to say. */
export function jsonRows(rows: readonly Row[]): readonly Record<string, unknown>[] {
  return rows.map((row) => ({
    case: `${row.case}.${row.metric}`,
    subject: row.subject,
    peer: row.peer ?? null,
    median: row.median,
    spread: row.spread,
    ratio: row.ratio ?? null,
    target: row.target ?? null,
    met: row.met ?? null,
  }));
}

function rowsOf(results: readonly Result[], name: string, metric: Metric): Row[] {
  const subjects = [...new Set(results.map(({ subject }) => subject))];
  return subjects.flatMap((subject) => {
    const values = results
      .filter((result) => result.case === name && result.subject === subject)
      .map((result) => result.figures?.[metric.key])
      .filter((value): value is number => value !== undefined && Number.isFinite(value));
    if (values.length === 0) return [];
    const spread = [Math.min(...values), Math.max(...values)] as const;
    return [{ case: name, metric: metric.key, subject, median: median(values), spread }];
  });
}

function judged(rows: readonly Row[], metric: Metric, { ours, peers }: Sides): Row[] {
  const [best] = rows
    .filter(({ subject }) => peers.includes(subject))
    .toSorted((a, b) => (metric.better === 'more' ? b.median - a.median : a.median - b.median));
  return rows.map((row) => {
    if (row.subject !== ours) return row;
    const ratio = best === undefined ? undefined : row.median / best.median;
    const target = targetOf(row.case, row.metric);
    const met = target === undefined ? undefined : isMet(target, row.median, ratio);
    return {
      ...row,
      ...(best !== undefined && ratio !== undefined && { peer: best.subject, ratio }),
      ...(target !== undefined && { target: spell(target) }),
      ...(met !== undefined && { met }),
    };
  });
}

/**
 * One Markdown table per case: a line per subject, `median (least-most)`, and in ours the ratio to the
 * best peer and whether the target is met.
 */
export function markdown(rows: readonly Row[], cases: readonly BenchCase[]): string {
  return cases
    .filter((one) => rows.some((row) => row.case === one.name))
    .map((one) => {
      const subjects = [
        ...new Set(rows.filter((row) => row.case === one.name).map(({ subject }) => subject)),
      ];
      const head = `| ${one.title} | ${one.metrics.map(({ title }) => title).join(' | ')} |`;
      const line = `| --- | ${one.metrics.map(() => '---').join(' | ')} |`;
      const body = subjects.map((subject) => {
        const cells = one.metrics.map((metric) => cell(rows, one.name, metric, subject));
        return `| ${subject} | ${cells.join(' | ')} |`;
      });
      return [head, line, ...body].join('\n');
    })
    .join('\n\n');
}

function cell(rows: readonly Row[], name: string, metric: Metric, subject: string): string {
  const row = rows.find(
    (one) => one.case === name && one.metric === metric.key && one.subject === subject,
  );
  if (row === undefined) return 'failed';
  const figure = (value: number): string => value.toFixed(metric.digits);
  const ratio = row.ratio === undefined ? '' : ` **${row.ratio.toFixed(2)} × ${row.peer}**`;
  return `${figure(row.median)} (${figure(row.spread[0])}-${figure(row.spread[1])})${ratio}${verdict(row)}`;
}

function verdict({ target, met }: Row): string {
  if (target === undefined) return '';
  if (met === undefined) return `, ${target}: not judged`;
  return `, ${target}: ${met ? 'met' : '**not met**'}`;
}
