/**
 * Metadata as an API server serves it, cut down to what the mesh reads.
 *
 * Of the annotations only those are taken that the mesh knows the names of: others may hold a whole
 * object (`last-applied-configuration`) and would be most of what is kept.
 */
import type { Labels, Meta } from '../../model/objects.ts';
import {
  convert,
  dictionary,
  flag,
  list,
  openRecord,
  required,
  text,
  withDefault,
  type Schema,
} from '../schema.ts';
import { isMapping } from '../schema.ts';

export interface ServedMeta {
  readonly meta: Meta;
  readonly podUid: string;
  readonly isTerminating: boolean;
  /** The controller that made it, as written. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
}

const OURS = /^([a-z.-]+\.)?(plumbline\.dev|istio\.io)\//;
/** On what stands for a static pod: the uid that kubelet and runtime use. */
const MIRROR = 'kubernetes.io/config.mirror';

const strings = dictionary(text(), text());

/** Takes only the entries whose values are strings and whose keys are asked for. */
function entries(wants: (key: string) => boolean): Schema<Labels> {
  const expected = 'a mapping';
  return {
    expected,
    read(value, path, report) {
      if (!isMapping(value)) return strings.read(value, path, report);
      const found: Record<string, string> = {};
      for (const [key, one] of Object.entries(value)) {
        if (typeof one === 'string' && wants(key)) found[key] = one;
      }
      return found;
    },
  };
}

const time = convert(text(), (value) => {
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? 0 : ms;
});

const reference = openRecord({
  kind: required(text()),
  name: required(text()),
  controller: withDefault(flag, false),
});

export const servedMeta = convert(
  openRecord({
    name: required(text()),
    namespace: withDefault(text(), ''),
    uid: withDefault(text(), ''),
    labels: withDefault(
      entries(() => true),
      {},
    ),
    annotations: withDefault(
      entries((key) => key === MIRROR || OURS.test(key)),
      {},
    ),
    creationTimestamp: withDefault(time, 0),
    deletionTimestamp: withDefault(text(), ''),
    ownerReferences: withDefault(list(reference), []),
  }),
  (raw): ServedMeta => {
    const { [MIRROR]: mirror, ...annotations } = raw.annotations;
    const owner = raw.ownerReferences.find(({ controller }) => controller);
    return {
      meta: {
        name: raw.name,
        namespace: raw.namespace,
        labels: raw.labels,
        annotations,
        createdMs: raw.creationTimestamp,
      },
      podUid: mirror ?? raw.uid,
      isTerminating: raw.deletionTimestamp !== '',
      owner: owner && { kind: owner.kind, name: owner.name },
    };
  },
);
