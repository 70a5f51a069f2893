/** What the agent asks of whoever finds the network namespaces of this node's pods. */

export interface PodNetns {
  readonly podUid: string;
  /** An open descriptor; whoever asked for it closes it. */
  readonly fd: number;
  /** The same for the same namespace, for as long as anything holds that open. */
  readonly identity: string;
  /** Found inside, where that was looked at. */
  readonly addresses: readonly string[];
}

export interface PodNamespaces {
  /** Opens a pod's namespace; undefined when it is not there (yet). */
  open(podUid: string): PodNetns | undefined;
  /** The uids of all pods that have a namespace now, with the identity of each. */
  list(): ReadonlyMap<string, string>;
  /** Calls back at once and whenever `list` has changed, until `stop`. */
  start(onChange: (pods: ReadonlyMap<string, string>) => void): void;
  stop(): void;
}
