/**
 * Patterns of paths in policies: exact, `/prefix*`, `*suffix`, `*`, and templates whose segments may
 * be `{*}` (exactly one, not empty) or, in the last place, `{**}` (any number).
 */
import { parsePattern } from './policy-match.ts';

const ONE = '{*}';
const REST = '{**}';

/** Returns what says whether a path fits a pattern. */
export function compilePathPattern(pattern: string): (path: string) => boolean {
  if (pattern.includes('{')) return compileTemplate(pattern.split('/'));
  const parsed = parsePattern(pattern);
  switch (parsed.kind) {
    case 'present':
      return (path) => path !== '';
    case 'prefix':
      return (path) => path.startsWith(parsed.text);
    case 'suffix':
      return (path) => path.endsWith(parsed.text);
    case 'exact':
      break;
  }
  return (path) => path === parsed.text;
}

/** Says what is wrong with a template, or '' when it is right or none. */
export function templateFault(pattern: string): string {
  if (!pattern.includes('{') && !pattern.includes('}')) return '';
  const segments = pattern.split('/');
  if (segments[0] !== '') return 'a template begins with "/"';
  for (const [i, segment] of segments.entries()) {
    if (segment === REST && i < segments.length - 1)
      return `${REST} stands in the last place alone`;
    if (segment === ONE || segment === REST) continue;
    if (/[{}*]/.test(segment)) return `"${segment}"; expected ${ONE} or ${REST} as a whole segment`;
  }
  return '';
}

function compileTemplate(wanted: readonly string[]): (path: string) => boolean {
  const hasRest = wanted.at(-1) === REST;
  const fixed = hasRest ? wanted.slice(0, -1) : wanted;
  return (path) => {
    let at = 0;
    for (const [i, segment] of fixed.entries()) {
      if (i > 0) {
        if (path[at] !== '/') return false;
        at += 1;
      }
      let end = path.indexOf('/', at);
      if (end === -1) end = path.length;
      const isFit = segment === ONE ? end > at : path.slice(at, end) === segment;
      if (!isFit) return false;
      at = end;
    }
    return at === path.length || (hasRest && path[at] === '/');
  };
}
