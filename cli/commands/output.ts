/**
 * How answers are shown: as a table for people, as JSON or YAML for programs.
 *
 * JSON and YAML hold all that was answered; a table shows chosen columns. Text from elsewhere loses
 * its control characters, so no name can move the cursor of whoever reads it. Pure.
 */
import { stringify } from 'yaml';

export type Format = 'table' | 'json' | 'yaml';
export const FORMATS: readonly Format[] = ['table', 'json', 'yaml'];

export interface Column<Row> {
  readonly title: string;
  readonly of: (row: Row) => string | number;
}

export function render<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  format: Format,
): string {
  return format === 'table' ? renderTable(rows, columns) : renderValue(rows, format);
}

export function renderValue(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value);
}

/** Columns as wide as their widest cell, two spaces between them. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const head = columns.map(({ title }) => title);
  const cells = rows.map((row) => columns.map((column) => printable(String(column.of(row)))));
  const widths = head.map((title, i) =>
    Math.max(title.length, ...cells.map((line) => (line[i] ?? '').length)),
  );
  const line = (words: readonly string[]): string =>
    words
      .map((word, i) => word.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  return `${[head, ...cells].map(line).join('\n')}\n`;
}

export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** A value out of an answer of a program, by its path; '' when it is not there. */
export function at(row: unknown, path: string): string {
  let value = row;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return '';
    value = Object.entries(value).find(([name]) => name === key)?.[1];
  }
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map((one) => spell(one)).join(',');
  return spell(value);
}

function spell(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
