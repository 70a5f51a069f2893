/**
 * A request as routing and policy see it: the narrowest view that both need, so that whoever has
 * parsed one (HTTP/1.1, HTTP/2, a recorded one in a test) can show it without copying.
 */
export interface RequestView {
  readonly method: string;
  /** Host name of the authority: lower case, without a port. */
  readonly host: string;
  /** Normalised, without the query. */
  readonly path: string;
  /** Without its `?`; '' for none. */
  readonly query: string;
  /** Value of a header by its lower-case name; several of one name are joined by `, `. */
  header(name: string): string | undefined;
}

/** Returns the first value of a parameter in a query, decoded; undefined when it is not there. */
export function queryValue(query: string, name: string): string | undefined {
  for (let at = 0; at <= query.length;) {
    let end = query.indexOf('&', at);
    if (end === -1) end = query.length;
    let equals = query.indexOf('=', at);
    if (equals === -1 || equals > end) equals = end;
    if (isNamed(query, at, equals, name)) {
      return equals === end ? '' : decoded(query.slice(equals + 1, end));
    }
    at = end + 1;
  }
  return undefined;
}

function isNamed(query: string, from: number, to: number, name: string): boolean {
  if (to - from === name.length) return query.startsWith(name, from);
  // Only an encoded name is longer than itself.
  if (to - from < name.length) return false;
  return decoded(query.slice(from, to)) === name;
}

function decoded(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    return spaced;
  }
}
