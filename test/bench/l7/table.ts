/** The table of the L7 bench: a block per case, a line per subject, ours with its ratio to each; pure. */
export interface Sample {
  readonly case: string;
  readonly subject: string;
  readonly figures: Readonly<Record<string, number>>;
}

const COLUMNS: readonly (readonly [key: string, title: string, digits: number])[] = [
  ['rate', 'requests/s', 0],
  ['cpu_ms_per_1k', 'CPU ms/1,000', 2],
  ['p50', 'p50 us', 0],
  ['p99', 'p99 us', 0],
  ['p999', 'p99.9 us', 0],
  ['rss_mb', 'RSS MB', 0],
];

/** `ours` gets its ratio to Envoy beside each figure, where Envoy was measured. */
export function l7Table(
  samples: readonly Sample[],
  cases: readonly string[],
  ours: string,
): string {
  return cases
    .filter((name) => samples.some((one) => one.case === name))
    .map((name) => {
      const of = samples.filter((one) => one.case === name);
      const subjects = [...new Set(of.map(({ subject }) => subject))];
      const head = `| ${name} | ${COLUMNS.map(([, title]) => title).join(' | ')} |`;
      const line = `| --- | ${COLUMNS.map(() => '---').join(' | ')} |`;
      const rows = subjects.map((subject) => {
        const cells = COLUMNS.map(([key, , digits]) => {
          const values = valuesOf(of, subject, key);
          const beside = subject === ours ? ratio(values, valuesOf(of, 'envoy', key)) : '';
          const [least, most] = [Math.min(...values), Math.max(...values)];
          const spread =
            values.length > 1 ? ` (${least.toFixed(digits)}-${most.toFixed(digits)})` : '';
          return `${median(values).toFixed(digits)}${spread}${beside}`;
        });
        return `| ${subject} | ${cells.join(' | ')} |`;
      });
      return [head, line, ...rows].join('\n');
    })
    .join('\n\n');
}

function valuesOf(samples: readonly Sample[], subject: string, key: string): number[] {
  return samples
    .filter((one) => one.subject === subject)
    .map(({ figures }) => figures[key] ?? Number.NaN);
}

function ratio(ours: readonly number[], theirs: readonly number[]): string {
  if (theirs.length === 0) return '';
  return ` **${(median(ours) / median(theirs)).toFixed(2)} × envoy**`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
