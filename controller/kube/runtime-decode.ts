/**
 * The door for what the runner reports, and the door for the pods that this controller remembers.
 *
 * Strict: a body with any mistake is refused whole, with the path of the first one.
 */
import { MeshError } from '#common/errors.ts';
import type { PodRuntime, RuntimePatch } from '#common/control/desired.ts';
import {
  flag,
  formatPath,
  list,
  oneOf,
  optional,
  record,
  required,
  text,
  withDefault,
  type Schema,
} from './schema.ts';
import { address, dnsLabel, objectName } from './schemas/shared.ts';

const MAX_PODS = 10_000;

const podUid = text('a pod uid of at most 64 letters, digits and "-"', (value) =>
  /^[A-Za-z0-9-]{1,64}$/.test(value),
);

const runtime = record({
  podUid: required(podUid),
  addresses: withDefault(list(address, { max: 16 }), []),
  phase: required(oneOf('Pending', 'Running', 'Succeeded', 'Failed')),
  ready: withDefault(flag, false),
  terminating: withDefault(flag, false),
});

const patch = record({
  pods: withDefault(list(runtime, { max: MAX_PODS }), []),
  gone: withDefault(list(podUid, { max: MAX_PODS }), []),
});

/** Reads the body of `POST /v1/directory/runtime`; throws `MESSAGE_INVALID`. */
export function decodeRuntimePatch(body: unknown): RuntimePatch {
  return decode(patch, body, 'read the runtime report');
}

/** A pod that outlives a restart of the controller, as its state file holds it. */
export interface RememberedPod {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly ownerKind: 'Pod' | 'Deployment';
  readonly ownerName: string;
  /** Of what it runs: only a pod that still runs what is declared can be taken up again. */
  readonly templateHash: string;
  /** What the runner said of it last, so that the mesh does not forget it until it is said again. */
  readonly runtime: PodRuntime | undefined;
}

const remembered = record({
  version: required(oneOf('1')),
  pods: required(
    list(
      record({
        podUid: required(podUid),
        namespace: required(dnsLabel),
        name: required(objectName),
        node: required(objectName),
        ownerKind: required(oneOf('Pod', 'Deployment')),
        ownerName: required(objectName),
        templateHash: required(text()),
        runtime: optional(runtime),
      }),
      { max: MAX_PODS },
    ),
  ),
});

/** Reads the state file; throws `MESSAGE_INVALID`. */
export function decodeRemembered(value: unknown): { readonly pods: readonly RememberedPod[] } {
  return decode(remembered, value, 'read the remembered pods');
}

function decode<T>(schema: Schema<T>, value: unknown, attempt: string): T {
  let first = '';
  const read = schema.read(value, [], (path, message) => {
    const field = formatPath(path);
    if (first === '') first = field === '' ? message : `${field}: ${message}`;
  });
  if (read !== undefined && first === '') return read;
  throw new MeshError('MESSAGE_INVALID', `Cannot ${attempt}: ${first}`);
}
