/**
 * Whether an agent that is told to end leaves its node for good, or another comes after it. Pure.
 *
 * Only what the API server says of the agent's own DaemonSet counts: gone, being deleted, or in a
 * namespace that ends. Anything else, and no answer, means that another comes: rules and plugin stay,
 * and what is captured fails closed until then.
 */

/** An answer of the API server; `body` is its JSON, decoded. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

export type Verdict = 'leaving' | 'staying' | 'unknown';

/** Judges the answer about the DaemonSet `name`, or an event of a watch on it. */
export function ofDaemonSet(name: string, { status, body }: Reply): Verdict {
  if (status === 200) return nameOf(body) === name ? ofObject(body) : 'unknown';
  if (status !== 404) return 'unknown';
  // A proxy in between, or a server that has not the API yet, says 404 too.
  const isAboutIt = field(body, 'reason') === 'NotFound' && nameIn(body, 'details') === name;
  return isAboutIt ? 'leaving' : 'unknown';
}

/** Judges the answer about the namespace of the DaemonSet. */
export function ofNamespace(name: string, { status, body }: Reply): Verdict {
  if (status !== 200 || nameOf(body) !== name) return 'unknown';
  return field(field(body, 'status'), 'phase') === 'Terminating' ? 'leaving' : ofObject(body);
}

export interface WatchEvent {
  readonly verdict: Verdict;
  /** The watch cannot go on from where it is. */
  readonly isOver: boolean;
}

/** Reads one line of a watch on the DaemonSet. */
export function ofEvent(name: string, event: unknown): WatchEvent {
  const object = field(event, 'object');
  switch (field(event, 'type')) {
    case 'ADDED':
    case 'MODIFIED':
      return { verdict: ofDaemonSet(name, { status: 200, body: object }), isOver: false };
    case 'DELETED':
      return { verdict: nameOf(object) === name ? 'leaving' : 'unknown', isOver: false };
    case 'BOOKMARK':
      return { verdict: 'unknown', isOver: false };
    default:
      return { verdict: 'unknown', isOver: true };
  }
}

/** What both say: a namespace that ends takes its DaemonSet along, whatever that says of itself. */
export function together(daemonSet: Verdict, namespace: Verdict): Verdict {
  return namespace === 'leaving' ? 'leaving' : daemonSet;
}

function ofObject(object: unknown): Verdict {
  const deleted = field(field(object, 'metadata'), 'deletionTimestamp');
  return deleted === undefined || deleted === null ? 'staying' : 'leaving';
}

function nameOf(object: unknown): unknown {
  return nameIn(object, 'metadata');
}

function nameIn(object: unknown, key: string): unknown {
  return field(field(object, key), 'name');
}

function field(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return new Map<string, unknown>(Object.entries(value)).get(key);
}
