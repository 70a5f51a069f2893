/**
 * What the controller's directory source wants to run, read strictly from its API.
 *
 * The controller says what should run and where; `plumb up` runs it and answers with runtime facts
 * (runtime-feed.ts). A pod is known by its `podUid` for its whole life; one whose template changes has
 * a new one. A pod missing from the list is to be ended with its grace period, then reported gone.
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

/** A mistake in the directory, with its place. */
export interface Problem {
  readonly file: string;
  /** From 1; 0 when the mistake is not at a line. */
  readonly line: number;
  readonly object: string;
  readonly field: string;
  readonly message: string;
}

export interface DesiredState {
  /** Of the controller process: when it changes, everything that runs is to be posted again. */
  readonly epoch: string;
  readonly version: number;
  readonly problems: readonly Problem[];
  readonly nodes: readonly DesiredNode[];
  readonly pods: readonly DesiredPod[];
  readonly hosts: readonly HostEntry[];
}

export interface DesiredNode {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Names for the pods of `namespace` or, when it is '', for all pods. */
export interface HostEntry {
  readonly namespace: string;
  readonly names: readonly string[];
  readonly addresses: readonly string[];
}

export interface DesiredPod {
  readonly podUid: string;
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly hostNetwork: boolean;
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never';
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly DesiredContainer[];
}

export interface EnvironmentEntry {
  readonly name: string;
  readonly value: string;
}

export interface DesiredContainer {
  readonly name: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly EnvironmentEntry[];
  /** Relative to the directory when it is not absolute; '' for the directory itself. */
  readonly workingDir: string;
  readonly ports: readonly ContainerPort[];
  readonly readinessProbe?: Probe | undefined;
  readonly livenessProbe?: Probe | undefined;
}

export interface ContainerPort {
  readonly name: string;
  readonly containerPort: number;
  readonly protocol: 'TCP' | 'UDP';
}

export interface HttpCheck {
  readonly kind: 'http';
  readonly path: string;
  readonly port: number;
  readonly headers: readonly EnvironmentEntry[];
}

export interface TcpCheck {
  readonly kind: 'tcp';
  readonly port: number;
}

export interface Probe {
  readonly check: HttpCheck | TcpCheck;
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

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

const state = object<DesiredState>({
  epoch: text(64),
  version: integer(0, Number.MAX_SAFE_INTEGER),
  problems: list(
    object<Problem>({
      file: anyText,
      line: integer(0, 1 << 30),
      object: anyText,
      field: anyText,
      message: anyText,
    }),
    10_000,
  ),
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

/** Spells a problem as one line: `shop.yaml:12: Service shop/cart: spec.ports[0].port: …`. */
export function formatProblem(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}`;
  return [place, problem.object, problem.field, problem.message].filter((s) => s !== '').join(': ');
}
