/**
 * One spelling for each path, before anything is matched and as it is forwarded, so that policy,
 * routes and application cannot read it differently.
 *
 * What stands for itself is decoded, the rest of the percent signs get capital digits, double slashes
 * become one, `.` and `..` are resolved. What could be read in two ways (a broken percent sign, a
 * control character, a backslash, a way above the root) is refused. An encoded slash or backslash
 * stays as it is, since some applications need it; `readings` gives both ways to read such a path,
 * and policy must agree to each.
 */

const SLASH = 0x2f;
const PERCENT = 0x25;
const DOT = 0x2e;
const BACKSLASH = 0x5c;
const HASH = 0x23;
const DELETE = 0x7f;

/** Returns the path in its one spelling, or undefined when it is to be refused with 400. */
export function normalizePath(path: string): string | undefined {
  if (!path.startsWith('/')) return path === '*' ? path : undefined;
  return isNormal(path) ? path : rewritten(path);
}

/** Lists the ways in which an application may read a normalised path, itself first. */
export function readings(path: string): readonly string[] {
  if (!path.includes('%2F') && !path.includes('%5C')) return [path];
  const decoded = path.replaceAll('%2F', '/').replaceAll('%5C', '/');
  // An application that decodes late may well take what leads above the root for the root.
  return [path, resolved(decoded, true) ?? path];
}

/** Says whether a path is as it should be already; nearly all are. */
function isNormal(path: string): boolean {
  for (let i = 0; i < path.length; i += 1) {
    const code = path.charCodeAt(i);
    if (code === PERCENT || code <= 0x20 || code >= DELETE) return false;
    if (code === BACKSLASH || code === HASH) return false;
    if (code !== SLASH) continue;
    const next = path.charCodeAt(i + 1);
    if (next === SLASH || next === DOT) return false;
  }
  return true;
}

function rewritten(path: string): string | undefined {
  let text = '';
  for (let i = 0; i < path.length; i += 1) {
    const code = path.charCodeAt(i);
    if (code <= 0x20 || code >= DELETE || code === BACKSLASH || code === HASH) return undefined;
    if (code !== PERCENT) {
      text += path[i];
      continue;
    }
    const digits = path.slice(i + 1, i + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return undefined;
    const value = Number.parseInt(digits, 16);
    if (value < 0x20 || value === DELETE) return undefined;
    text += isUnreserved(value) ? String.fromCharCode(value) : `%${digits.toUpperCase()}`;
    i += 2;
  }
  return resolved(text, false);
}

/** Merges slashes and resolves dots; a way above the root ends there, or leads to undefined. */
function resolved(path: string, endsAtRoot: boolean): string | undefined {
  const segments: string[] = [];
  const given = path.split('/').slice(1);
  for (const [i, segment] of given.entries()) {
    const isLast = i === given.length - 1;
    if (segment === '..') {
      if (segments.pop() === undefined && !endsAtRoot) return undefined;
      if (isLast) segments.push('');
    } else if (segment === '.') {
      if (isLast) segments.push('');
    } else if (segment !== '' || isLast) {
      segments.push(segment);
    }
  }
  return `/${segments.join('/')}`;
}

function isUnreserved(code: number): boolean {
  return /[A-Za-z0-9\-._~]/.test(String.fromCharCode(code));
}
