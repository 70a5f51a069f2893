/**
 * Values out of answers of programs, as text for people. Pure.
 *
 * Text from elsewhere loses its control characters, so no name can move the cursor of its reader.
 */
/** A value by its path (`capture.reason`); '' when it is not there. */
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

/** A list by its path; empty when there is none. */
export function listAt(row: unknown, path: string): readonly unknown[] {
  let value = row;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return [];
    value = Object.entries(value).find(([name]) => name === key)?.[1];
  }
  return Array.isArray(value) ? value : [];
}

export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}

/** Columns as wide as their widest cell, two spaces between them. */
export function renderTable(lines: readonly (readonly string[])[]): string {
  const cells = lines.map((line) => line.map(printable));
  const width = (i: number): number => Math.max(0, ...cells.map((line) => line[i]?.length ?? 0));
  const rendered = cells.map((line) =>
    line
      .map((cell, i) => cell.padEnd(width(i)))
      .join('  ')
      .trimEnd(),
  );
  return `${rendered.join('\n')}\n`;
}

function spell(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
