/**
 * How answers are shown: as a table for people, as JSON or YAML for programs. JSON and YAML hold all
 * that was answered; a table shows chosen columns. Pure.
 */
import { stringify } from 'yaml';
import { renderTable } from '../text.ts';

export type Format = 'table' | 'json' | 'yaml';
export const FORMATS: readonly Format[] = ['table', 'json', 'yaml'];

export interface Column {
  readonly title: string;
  readonly of: (row: unknown) => string;
}

export function render(
  rows: readonly unknown[],
  columns: readonly Column[],
  format: Format,
): string {
  if (format !== 'table') return renderValue(rows, format);
  const head = columns.map(({ title }) => title);
  return renderTable([head, ...rows.map((row) => columns.map((column) => column.of(row)))]);
}

export function renderValue(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : stringify(value);
}
