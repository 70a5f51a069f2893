/**
 * Reads, strictly, what the controller's directory source wants to run (common/control/desired.ts).
 */
import {
  boolean,
  decodeText,
  integer,
  list,
  matching,
  object,
  oneOf,
  partial,
  text,
} from '#common/control/decode.ts';
import type { Decoder } from '#common/control/decode.ts';
import type {
  ContainerPort,
  DesiredContainer,
  DesiredNode,
  DesiredPod,
  DesiredState,
  EnvironmentEntry,
  HostEntry,
  HttpCheck,
  Probe,
  Problem,
  TcpCheck,
} from '#common/control/desired.ts';

const MOST_STATE_LENGTH = 256 << 20;
const MOST_PODS = 20_000;
const DAY_SECONDS = 86_400;

const name = text(253);
/** Values of the environment and arguments may have line ends, which `text` refuses. */
const anyText = matching(/^[^\0]{0,131072}$/s, 'text without NUL');
const seconds = integer(0, DAY_SECONDS);
const port = integer(1, 65_535);
const entry = object<EnvironmentEntry>({ name: anyText, value: anyText });

const check: Decoder<HttpCheck | TcpCheck> = (value) =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'http'
    ? object<HttpCheck>({ kind: oneOf('http'), path: text(4096), port, headers: list(entry, 64) })(
        value,
      )
    : object<TcpCheck>({ kind: oneOf('tcp'), port })(value);

const probe = object<Probe>({
  check,
  initialDelaySeconds: seconds,
  periodSeconds: integer(1, DAY_SECONDS),
  timeoutSeconds: integer(1, DAY_SECONDS),
  successThreshold: integer(1, 1000),
  failureThreshold: integer(1, 1000),
});

const alwaysThere = {
  name,
  command: list(anyText, 1024),
  args: list(anyText, 1024),
  env: list(entry, 1024),
  workingDir: anyText,
  ports: list(
    object<ContainerPort>({
      name: text(63),
      containerPort: port,
      protocol: oneOf('TCP', 'UDP'),
    }),
    256,
  ),
};
const required = object<Omit<DesiredContainer, 'readinessProbe' | 'livenessProbe'>>(alwaysThere);
const possible = partial<DesiredContainer>({
  ...alwaysThere,
  readinessProbe: probe,
  livenessProbe: probe,
});

/** The probes alone may be absent. */
const container: Decoder<DesiredContainer> = (value) => {
  const found = possible(value);
  const { readinessProbe: _, livenessProbe: __, ...rest } = found;
  required(rest);
  return found;
};

const noFields = object<object>({});

const labels: Decoder<Readonly<Record<string, string>>> = (value) => {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const found = isObject ? value : noFields(value);
  list(anyText, 1024)(Object.values(found));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a boundary: just checked
  return found as Readonly<Record<string, string>>;
};

const pod = object<DesiredPod>({
  podUid: matching(/^[0-9a-zA-Z-]{8,64}$/, 'a pod uid'),
  namespace: name,
  name,
  node: name,
  labels,
  serviceAccount: name,
  hostNetwork: boolean,
  restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
  terminationGracePeriodSeconds: seconds,
  containers: list(container, 64),
});

const problem = object<Problem>({
  file: anyText,
  line: integer(0, 1 << 30),
  object: anyText,
  field: anyText,
  message: anyText,
});

const state = object<DesiredState>({
  epoch: text(64),
  version: integer(0, Number.MAX_SAFE_INTEGER),
  problems: list(problem, 10_000),
  warnings: list(problem, 10_000),
  nodes: list(object<DesiredNode>({ name, labels }), 1024),
  pods: list(pod, MOST_PODS),
  hosts: list(
    object<HostEntry>({
      namespace: text(253),
      names: list(text(512), 64),
      addresses: list(text(64), 4096),
    }),
    MOST_PODS,
  ),
});

/** Reads an answer of the controller's `/v1/directory/desired`. */
export function decodeDesired(message: string): DesiredState {
  return decodeText(message, {
    what: 'the desired state of the directory',
    decoder: state,
    maxLength: MOST_STATE_LENGTH,
  });
}
