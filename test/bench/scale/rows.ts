/** Tables of the scale benches: rows by size, and the slope between the least and the greatest; pure. */

export interface Column {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
}

export type Row = Readonly<Record<string, number>>;

/** What one more of what the first column counts adds to another, by least squares. */
export function slope(rows: readonly Row[], x: string, y: string): number {
  const points = rows
    .map((row) => [row[x] ?? Number.NaN, row[y] ?? Number.NaN] as const)
    .filter((point) => point.every(Number.isFinite));
  const mean = (of: 0 | 1): number =>
    points.reduce((sum, point) => sum + point[of], 0) / points.length;
  const [mx, my] = [mean(0), mean(1)];
  const xy = points.reduce((sum, [px, py]) => sum + (px - mx) * (py - my), 0);
  return xy / points.reduce((sum, [px]) => sum + (px - mx) ** 2, 0);
}

/** A Markdown table whose last line has the slopes, per `per` of the first column. */
export function table(columns: readonly Column[], rows: readonly Row[], per: number): string {
  const [first, ...others] = columns;
  if (first === undefined) return '';
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const figure = (value: number | undefined, digits: number): string =>
    value === undefined || Number.isNaN(value) ? '' : value.toFixed(digits);
  const slopes = others.map(({ key, digits }) =>
    figure(slope(rows, first.key, key) * per, digits + 1),
  );
  return [
    line(columns.map(({ title }) => title)),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map(({ key, digits }) => figure(row[key], digits)))),
    line([`slope per ${per.toLocaleString('en')}`, ...slopes]),
  ].join('\n');
}

/** A bar, what was measured, and whether it holds. */
export interface Bar {
  readonly what: string;
  readonly measured: number;
  readonly most: number;
  readonly unit: string;
}

export function verdict({ what, measured, most, unit }: Bar): string {
  const holds = measured <= most;
  return `- ${what}: ${Number(measured.toPrecision(3))} ${unit}, at most ${most}: ${holds ? 'met' : '**not met**'}`;
}

/** What one bench has to show. */
export interface Outcome {
  readonly title: string;
  readonly tables: readonly string[];
  readonly bars: readonly Bar[];
}

/** One value of a scrape; NaN when it is not there. */
export function readMetric(text: string, name: string): number {
  const line = text
    .split('\n')
    .find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1) ?? Number.NaN);
}
