/**
 * The world that a mesh runs in: a switch, nodes and pods, each a network namespace.
 *
 *     pod ── veth ── cni0 (bridge in the node) ── eth0 ── switch ── eth0 ── cni0 ── veth ── pod
 *
 * A packet between pods of two nodes crosses both nodes' namespaces and one veth on the switch, as
 * it would cross a wire. Whatever is made here is removed by `remove`, and its name says whose it is.
 */
import { closeSync, existsSync, symlinkSync, rmSync } from 'node:fs';
import { inNetns, openNetns } from '#common/sys/netns.ts';
import { MeshError } from '#common/errors.ts';
import { HostNumbers, planNode, podAddresses, SWITCH_ADDRESSES } from './addresses.ts';
import type { NodePlan } from './addresses.ts';
import { ip, run } from './command.ts';
import { netnsPrefix } from './run-dir.ts';
import type { RunDir } from './run-dir.ts';
import { writeSettings } from './settings.ts';

export interface Space {
  /** As `ip netns` lists it. */
  readonly netns: string;
  readonly path: string;
  /** Open until the space is removed. */
  readonly fd: number;
  /** Its own, v4 first. */
  readonly addresses: readonly string[];
}

export interface NodeSpace extends Space {
  readonly name: string;
  /** Its end on the switch, where one can watch what crosses between nodes. */
  readonly port: string;
}

export interface PodSpace extends Space {
  readonly podUid: string;
}

interface NodeState extends NodeSpace {
  readonly plan: NodePlan;
  readonly hosts: HostNumbers;
}

interface PodState extends PodSpace {
  readonly node: NodeState;
  readonly host: number;
  /** Its end on the node's bridge. */
  readonly port: string;
}

/**
 * A bridge without an address of its own takes the lowest of its ports', so it changes when a pod comes
 * or goes, and the others go on sending to the old one until their caches notice.
 */
const SWITCH_MAC = '02:70:6c:00:00:01';
const BRIDGE_MAC = '02:70:6c:00:01:01';

export class World {
  readonly #dir: RunDir;
  readonly #families: readonly (4 | 6)[];
  readonly #nodes = new Map<string, NodeState>();
  readonly #pods = new Map<string, PodState>();
  readonly #numbers = new Set<number>();
  #switch: Space | undefined;
  #ports = 0;

  constructor(dir: RunDir) {
    this.#dir = dir;
    this.#families = existsSync('/proc/sys/net/ipv6') ? [4, 6] : [4];
  }

  /** The families that this kernel has. */
  get families(): readonly (4 | 6)[] {
    return this.#families;
  }

  /** Where the controller runs; every node reaches it. */
  get hub(): Space {
    if (this.#switch === undefined) throw new RangeError('the world has not been started');
    return this.#switch;
  }

  get nodes(): readonly NodeSpace[] {
    return [...this.#nodes.values()];
  }

  pod(podUid: string): PodSpace | undefined {
    return this.#pods.get(podUid);
  }

  async start(): Promise<void> {
    const [address4, address6] = SWITCH_ADDRESSES;
    const space = await this.#create('switch', this.#own(address4, address6));
    this.#switch = space;
    await ip(space.netns, [
      `link add br0 address ${SWITCH_MAC} type bridge mcast_snooping 0`,
      'link set br0 up',
      ...this.#addresses('br0', `${address4}/24`, `${address6}/64`),
    ]);
  }

  async addNode(name: string): Promise<NodeSpace> {
    const plan = planNode(this.#freeNumber());
    this.#numbers.add(plan.number);
    const space = await this.#create(`node.${name}`, this.#own(plan.address4, plan.address6));
    const port = `node${plan.number}`;
    const node: NodeState = { ...space, name, port, plan, hosts: new HostNumbers() };
    this.#nodes.set(name, node);
    try {
      await this.#joinNode(node);
    } catch (error) {
      await this.removeNode(name);
      throw error;
    }
    return node;
  }

  async #joinNode({ netns, name, port, plan }: NodeState): Promise<void> {
    const others = [...this.#nodes.values()].filter((other) => other.name !== name);
    await ip(this.hub.netns, [
      `link add ${port} type veth peer name eth0 netns ${netns}`,
      `link set ${port} master br0 up`,
    ]);
    // The bridge has its address before there are routes: they take it for their source otherwise.
    await ip(netns, [
      'link set eth0 up',
      ...this.#addresses('eth0', `${plan.address4}/24`, `${plan.address6}/64`),
      `link add cni0 address ${BRIDGE_MAC} type bridge mcast_snooping 0`,
      'link set cni0 up',
      ...this.#addresses('cni0', `${plan.gateway4}/16`, `${plan.gateway6}/64`),
      ...others.flatMap((other) => this.#routes('add', other.plan)),
    ]);
    for (const other of others) await ip(other.netns, this.#routes('add', plan));
  }

  /** Its pods must have been removed before. */
  async removeNode(name: string): Promise<void> {
    const node = this.#nodes.get(name);
    if (node === undefined) return;
    this.#nodes.delete(name);
    for (const other of this.#nodes.values()) {
      // A node that could not be joined has no routes to take away.
      await ip(other.netns, this.#routes('del', node.plan)).catch(() => {});
    }
    await this.#delete(node);
    this.#numbers.delete(node.plan.number);
  }

  /** Makes the namespace of a pod on `nodeName`, and the file by which the node's agent finds it. */
  async addPod(nodeName: string, podUid: string, label: string): Promise<PodSpace> {
    const node = this.#nodes.get(nodeName);
    if (node === undefined) {
      throw new MeshError('OBJECT_INVALID', `Cannot place a pod: there is no node "${nodeName}"`);
    }
    const host = node.hosts.take();
    const { address4, address6 } = podAddresses(node.plan, host);
    const suffix = podUid.slice(0, 8);
    const space = await this.#create(
      `pod.${label.slice(0, 150)}.${suffix}`,
      this.#own(address4, address6),
    );
    this.#ports += 1;
    const port = `pod${this.#ports.toString(36)}`;
    const pod: PodState = { ...space, podUid, node, host, port };
    this.#pods.set(podUid, pod);
    try {
      await this.#joinPod(pod);
    } catch (error) {
      await this.removePod(podUid);
      throw error;
    }
    return pod;
  }

  async #joinPod({ node, port, netns, path, podUid, host }: PodState): Promise<void> {
    const { address4, address6 } = podAddresses(node.plan, host);
    await ip(node.netns, [
      `link add ${port} type veth peer name eth0 netns ${netns}`,
      `link set ${port} master cni0 up`,
    ]);
    await ip(netns, [
      'link set eth0 up',
      // Everything goes through the node, to pods of the same node as well: services (there the node
      // changes addresses) work for all only if answers come back the same way.
      ...this.#addresses('eth0', `${address4}/32`, `${address6}/128`),
      ...gateway(node.plan.gateway4),
      ...(this.#families.includes(6) ? gateway(node.plan.gateway6) : []),
    ]);
    symlinkSync(path, `${this.#dir.netns}/${podUid}`);
  }

  async removePod(podUid: string): Promise<void> {
    const pod = this.#pods.get(podUid);
    if (pod === undefined) return;
    this.#pods.delete(podUid);
    rmSync(`${this.#dir.netns}/${podUid}`, { force: true });
    // An agent may hold the namespace open for a while; the address must be free at once.
    await ip(pod.node.netns, [`link del ${pod.port}`]).catch(() => {}); // It may have no end yet.
    await this.#delete(pod);
    pod.node.hosts.free(pod.host);
  }

  /** Removes everything; the processes in the namespaces must have ended. */
  async remove(): Promise<void> {
    for (const podUid of this.#pods.keys()) await this.removePod(podUid);
    for (const name of this.#nodes.keys()) await this.removeNode(name);
    if (this.#switch !== undefined) await this.#delete(this.#switch);
    this.#switch = undefined;
  }

  async #create(label: string, addresses: readonly string[]): Promise<Space> {
    const netns = `${netnsPrefix(this.#dir.name)}${label}`;
    await run('ip', ['netns', 'add', netns]);
    const path = `/run/netns/${netns}`;
    const fd = openNetns(path);
    inNetns(fd, writeSettings);
    await ip(netns, ['link set lo up']);
    return { netns, path, fd, addresses };
  }

  async #delete(space: Space): Promise<void> {
    closeSync(space.fd);
    await run('ip', ['netns', 'delete', space.netns]);
  }

  #freeNumber(): number {
    let number = 1;
    while (this.#numbers.has(number)) number += 1;
    return number;
  }

  #own(address4: string, address6: string): readonly string[] {
    return this.#families.includes(6) ? [address4, address6] : [address4];
  }

  #addresses(device: string, address4: string, address6: string): string[] {
    return [
      `addr add ${address4} dev ${device}`,
      ...(this.#families.includes(6) ? [`addr add ${address6} dev ${device} nodad`] : []),
    ];
  }

  #routes(verb: 'add' | 'del', to: NodePlan): string[] {
    return [
      `route ${verb} ${to.pods4} via ${to.address4}`,
      ...(this.#families.includes(6) ? [`route ${verb} ${to.pods6} via ${to.address6}`] : []),
    ];
  }
}

function gateway(address: string): string[] {
  return [`route add ${address} dev eth0`, `route add default via ${address}`];
}
