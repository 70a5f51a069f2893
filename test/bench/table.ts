/** From single results to medians, spreads, ratios and Markdown; pure. */
import type { BenchCase, Metric } from './cases.ts';

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
  /** Of our median to that of the best peer in this column; only in our own rows. */
  readonly peer?: string;
  readonly ratio?: number;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const low = sorted[(sorted.length - 1) >> 1];
  const high = sorted[sorted.length >> 1];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

/** Makes one row per case, metric and subject; `ours` is compared with the best of the others. */
export function summarize(
  results: readonly Result[],
  cases: readonly BenchCase[],
  ours: string,
): Row[] {
  return cases.flatMap((one) =>
    one.metrics.flatMap((metric) => withRatio(rowsOf(results, one.name, metric), metric, ours)),
  );
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

function withRatio(rows: readonly Row[], metric: Metric, ours: string): Row[] {
  const peers = rows
    .filter(({ subject }) => subject !== ours && subject !== 'direct')
    .toSorted((a, b) => (metric.better === 'more' ? b.median - a.median : a.median - b.median));
  const best = peers[0];
  return rows.map((row) =>
    row.subject === ours && best !== undefined
      ? { ...row, peer: best.subject, ratio: row.median / best.median }
      : row,
  );
}

/** One Markdown table per case: a line per subject, `median (least-most)`, our ratio to the best peer. */
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
  return `${figure(row.median)} (${figure(row.spread[0])}-${figure(row.spread[1])})${ratio}`;
}
