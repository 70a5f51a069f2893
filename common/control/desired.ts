/**
 * What the controller's directory source and whoever runs its pods (`plumb up`) say to each other.
 *
 * The source says what should run and where (`DesiredState`); the runner says what does
 * (`RuntimePatch`). A pod is known by its `podUid` for its whole life; one that has to be run anew
 * has a new one. A pod missing from the desired state is to be ended with its grace period, and then
 * reported gone; until then the mesh sees it as terminating.
 */

type Labels = Readonly<Record<string, string>>;

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed';

/** A mistake in the directory: enough to go to the place and to know what should stand there. */
export interface Problem {
  /** Relative to the directory. */
  readonly file: string;
  /** From 1; 0 when the mistake is not at a line. */
  readonly line: number;
  /** `Service shop/cart`; '' when the object could not be told. */
  readonly object: string;
  /** `spec.ports[0].port`; '' for the object as a whole. */
  readonly field: string;
  readonly message: string;
}

export interface DesiredState {
  /** Of this controller process. When it changes, the runner posts all that it runs again. */
  readonly epoch: string;
  readonly version: number;
  /** Of the directory as it stands on disk; what is desired is then the last good state. */
  readonly problems: readonly Problem[];
  /** Of what is in force: taken, but not as its author may think. */
  readonly warnings: readonly Problem[];
  readonly nodes: readonly DesiredNode[];
  readonly pods: readonly DesiredPod[];
  readonly hosts: readonly HostEntry[];
}

export interface DesiredNode {
  readonly name: string;
  readonly labels: Labels;
}

/** One line of a hosts file, for the pods of `namespace` or, when it is '', for all pods. */
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
  readonly labels: Labels;
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

export interface PodRuntime {
  readonly podUid: string;
  readonly addresses: readonly string[];
  readonly phase: PodPhase;
  readonly ready: boolean;
  readonly terminating: boolean;
}

export interface RuntimePatch {
  readonly pods: readonly PodRuntime[];
  /** Ended, and their addresses free. */
  readonly gone: readonly string[];
}

/** Spells a problem as one line: `shop.yaml:12: Service shop/cart: spec.ports[0].port: …`. */
export function formatProblem(problem: Problem): string {
  const place = problem.line === 0 ? problem.file : `${problem.file}:${problem.line}`;
  return [place, problem.object, problem.field, problem.message].filter((s) => s !== '').join(': ');
}
