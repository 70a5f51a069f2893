/**
 * A connection that came to a pod in the clear: judged by what it is, then led to where it was bound.
 *
 * The tree is that of hbone.md section 3.3. Such a caller has no identity, so STRICT refuses it here,
 * and with it whoever reaches the pod around the tunnel. The application sees the caller's address.
 */
import { formatEndpoint } from '#common/address.ts';
import { plaintextTarget } from '#common/decide/inbound.ts';
import { TcpSocket } from '#common/engine/tcp.ts';
import type { TcpOwner } from '#common/engine/tcp.ts';
import { MeshError } from '#common/errors.ts';
import { closeFd, localOf, peerOf } from '#common/sys/libc.ts';
import type { Endpoint } from '#common/sys/sockaddr.ts';
import { originalDestination, setReset, socketError } from '#common/sys/socket-options.ts';
import { refusalOf, revocationOf } from './admission.ts';
import type { Arrival } from './admission.ts';
import { Flow } from './flow.ts';
import type { AnewState, Descriptors, Given, PassthroughState } from './handover-state.ts';
import type { LiveConnection } from './live.ts';
import { PlainAttempt } from './plain-attempt.ts';
import type { PlainAttemptOwner } from './plain-attempt.ts';
import { PlainRelay } from './plain-relay.ts';
import type { RelayOwner } from './plain-relay.ts';
import type { Pod } from './pod.ts';
import type { Ending } from './record.ts';
import { isOwnAddress, openLocal } from './sockets.ts';

/** Takes a connection that came to port 15006 of a pod. */
export function acceptPlain(pod: Pod, fd: number): void {
  const source = peerOf(fd);
  const destination = originalDestination(fd) ?? localOf(fd);
  if (source === undefined || destination === undefined) {
    closeFd(fd); // Reset already.
    return;
  }
  const token = { podUid: pod.plan.podUid, ...destination };
  if (pod.shared.takeProbe(token)) {
    pod.shared.table.count('probes');
    pod.shared.tellProbe({ ...token, direction: 'inbound', sourcePort: source.port });
    setReset(fd);
    closeFd(fd);
    return;
  }
  new Passthrough(pod, fd, { source, destination }).begin();
}

export class Passthrough implements TcpOwner, LiveConnection, PlainAttemptOwner, RelayOwner {
  readonly flow: Flow;
  readonly #pod: Pod;
  readonly #client: TcpSocket;
  readonly #destination: Endpoint;
  readonly #arrival: Arrival;
  #attempt: PlainAttempt | undefined;
  #relay: PlainRelay | undefined;
  #isDone = false;

  constructor(
    pod: Pod,
    fd: number,
    { source, destination }: { source: Endpoint; destination: Endpoint },
    flow?: Flow,
  ) {
    this.#pod = pod;
    this.#destination = destination;
    this.#arrival = {
      identity: undefined,
      sourceAddress: source.address,
      destinationAddress: destination.address,
      destinationPort: destination.port,
    };
    this.flow =
      flow ??
      new Flow(pod.shared.flows, {
        direction: 'inbound',
        podUid: pod.plan.podUid,
        source: { ...source, workload: pod.decisions.workloadAt(source.address), identity: '' },
        destination: { ...destination, workload: pod.workload(), identity: '' },
      });
    pod.shared.live.add(this);
    this.#client = new TcpSocket(pod.shared.loop, fd, this);
  }

  begin(): void {
    const { address, port } = this.#destination;
    const target = plaintextTarget(this.#pod.workload(), port);
    if (target.kind === 'refuse') {
      const where = formatEndpoint(address, port);
      this.#end(
        'refused',
        new MeshError(target.code, `Cannot lead to "${where}": ${target.reason}`),
      );
      return;
    }
    const refusal = this.#strayed() ?? refusalOf(this.#pod, this.flow, this.#arrival);
    if (refusal === undefined) this.#connect();
    else this.#end('refused', refusal);
  }

  recheck(): void {
    const revoked = revocationOf(this.#pod, this.flow, this.#arrival);
    if (revoked !== undefined) this.cut(revoked);
  }

  cut(error: MeshError): void {
    if (this.#relay === undefined) this.#end('failed', error);
    else this.#relay.cut(error);
  }

  get tunnel(): undefined {
    return undefined;
  }

  state(descriptors: Descriptors): PassthroughState | AnewState | undefined {
    const client = descriptors.socket(this.#client);
    if (client === undefined) return undefined;
    if (this.#relay === undefined) return { kind: 'anew', service: 'inbound', fd: client.fd };
    const server = this.#relay.serverState(descriptors);
    if (server === undefined) return undefined;
    return {
      kind: 'passthrough',
      flow: this.flow.state(),
      arrival: { ...this.#arrival, identity: null },
      destination: this.#destination,
      client,
      server,
    };
  }

  restore(state: PassthroughState, given: Given): void {
    this.#client.restore(state.client.tcp, given.queued(state.client));
    const sockets = { client: this.#client, server: given.socket(state.server, this) };
    this.#relay = new PlainRelay(this.#pod.shared.loop, this.flow, sockets, this);
  }

  release(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#attempt?.cancel();
    this.#relay?.release();
    this.#client.release();
    this.flow.release();
    this.#pod.shared.live.remove(this);
  }

  /** Before there is a relay: a client that resets while it waits has given up. */
  onReadable(): void {
    if (this.#client.hungUp && socketError(this.#client.fd) > 0) this.onClosed();
  }

  onWritable(): void {
    // Nothing is written to the client before there is a relay.
  }

  onClosed(): void {
    this.#end('reset by source');
  }

  onPlainConnected(app: TcpSocket): void {
    this.flow.open();
    const sockets = { client: this.#client, server: app };
    this.#relay = new PlainRelay(this.#pod.shared.loop, this.flow, sockets, this);
    this.#relay.start();
  }

  onNotConnected(error: MeshError): void {
    this.#end('failed', error);
  }

  onRelayEnd(ending: Ending, error?: MeshError): void {
    this.#end(ending, error);
  }

  /** The rules take whatever is sent to the pod's link: the pod is no way to anywhere else. */
  #strayed(): MeshError | undefined {
    const { address } = this.#destination;
    const { addresses, netns } = this.#pod.plan;
    if (addresses.includes(address) || isOwnAddress(netns, address)) return undefined;
    return new MeshError(
      'DESTINATION_MISMATCH',
      `Cannot lead to "${address}": it is no address of this pod`,
    );
  }

  #connect(): void {
    const { plan } = this.#pod;
    const { sourceAddress } = this.#arrival;
    const keeps =
      plan.options.keepSourceAddress !== false && !plan.addresses.includes(sourceAddress);
    const fd = openLocal(plan.netns, this.#destination.address, keeps ? sourceAddress : '');
    this.#attempt = new PlainAttempt(this.#pod, this.#destination, this);
    this.#attempt.begin(fd);
  }

  #end(ending: Ending, error?: MeshError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#attempt?.cancel();
    this.#client.destroy(true);
    this.flow.end(ending, error);
    this.#pod.shared.live.remove(this);
  }
}
