/**
 * The mesh's own labels and annotations, read strictly.
 *
 * A misspelt switch is the worst kind of mistake: everything looks applied. So a key under
 * `plumbline.dev/` that nobody reads, and a value that nobody understands, are named: in a directory
 * they are mistakes, in a cluster, where the object is there already, warnings.
 */
import { cidrsIn, portsIn } from '../model/enrolment.ts';
import {
  BYPASS,
  CUT_EXISTING,
  DATAPLANE_MODE,
  DNS_CAPTURE,
  DRY_RUN,
  EXCLUDE_INBOUND_PORTS,
  EXCLUDE_OUTBOUND_CIDRS,
  EXCLUDE_OUTBOUND_PORTS,
  EXPORT_TO,
  FAIL_OPEN,
  LOAD_BALANCING,
  ON_FAILURE,
  TRAFFIC_DISTRIBUTION,
} from '../model/names.ts';
import type { Labels, Meta } from '../model/objects.ts';
import type { Problem } from '#common/control/desired.ts';
import { problemOf, type Located } from './directory-decode.ts';
import { unknownName, type Path } from './schema.ts';

const OURS = /^([a-z]+\.)?plumbline\.dev\//;

/** What each switch may say; undefined means that the value is right. */
type Check = (value: string) => string | undefined;

const ON_OFF = choice('true', 'false');

const CHECKS: readonly (readonly [readonly string[], Check])[] = [
  [DATAPLANE_MODE, choice('ambient', 'none')],
  [BYPASS, ON_OFF],
  [FAIL_OPEN, ON_OFF],
  [ON_FAILURE, choice('hold', 'open')],
  [DNS_CAPTURE, ON_OFF],
  [CUT_EXISTING, ON_OFF],
  [DRY_RUN, ON_OFF],
  [LOAD_BALANCING, choice('random', 'round-robin', 'least-connections')],
  [TRAFFIC_DISTRIBUTION, anyCase('PreferClose', 'PreferSameZone', 'PreferSameNode')],
  [EXPORT_TO, choice('*', '.')],
  [EXCLUDE_INBOUND_PORTS, (value) => complaint(portsIn(value).invalid, 'ports')],
  [EXCLUDE_OUTBOUND_PORTS, (value) => complaint(portsIn(value).invalid, 'ports')],
  [EXCLUDE_OUTBOUND_CIDRS, (value) => complaint(cidrsIn(value).invalid, 'addresses or CIDRs')],
  [['topology.plumbline.dev/subzone'], () => undefined],
];

const CHECK_BY_KEY = new Map(CHECKS.flatMap(([keys, check]) => keys.map((key) => [key, check])));
const OUR_KEYS = [...CHECK_BY_KEY.keys()].filter((key) => OURS.test(key));

export function switchProblems(located: Located): Problem[] {
  const { object } = located;
  const problems = (found: readonly SwitchComplaint[], at: Path): Problem[] =>
    found.map(({ path, message }) => problemOf(located, [...at, ...path], message));
  const own = problems(switchComplaints(object.meta), ['metadata']);
  if (object.kind !== 'Deployment') return own;
  const template = switchComplaints(object.template);
  return [...own, ...problems(template, ['spec', 'template', 'metadata'])];
}

/** What is wrong with one label or annotation; `path` begins below `metadata`. */
export interface SwitchComplaint {
  readonly path: Path;
  readonly message: string;
}

export function switchComplaints(meta: Pick<Meta, 'labels' | 'annotations'>): SwitchComplaint[] {
  return [...inspect(meta.labels, 'label'), ...inspect(meta.annotations, 'annotation')];
}

function inspect(entries: Labels, what: 'label' | 'annotation'): SwitchComplaint[] {
  const found: SwitchComplaint[] = [];
  for (const key of Object.keys(entries)) {
    const check = CHECK_BY_KEY.get(key);
    const isUnknown = check === undefined && OURS.test(key);
    const message = isUnknown ? unknownName(what, key, OUR_KEYS) : check?.(entries[key] ?? '');
    if (message !== undefined) found.push({ path: [`${what}s`, key], message });
  }
  return found;
}

function choice(...values: readonly string[]): Check {
  return (value) =>
    values.includes(value) ? undefined : `"${value}"; expected one of ${values.join(', ')}`;
}

function anyCase(...values: readonly string[]): Check {
  const check = choice(...values);
  return (value) => check(values.find((one) => one.toLowerCase() === value.toLowerCase()) ?? value);
}

function complaint(invalid: readonly string[], what: string): string | undefined {
  return invalid.length === 0
    ? undefined
    : `"${invalid.join(', ')}"; expected ${what}, with commas between`;
}
