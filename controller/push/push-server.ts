/**
 * Where agents connect: TLS 1.3, a bearer token, then a WebSocket.
 *
 * Before the token is known to be good, a peer can cost one TLS handshake and 16 KiB of header, for
 * ten seconds. Compression is off. An agent from which nothing at all came for 25 s is dropped.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import {
  AGENT_MESSAGE_BYTES,
  AGENT_PATH,
  CLOSE_CODES,
  SUBPROTOCOL,
  type AgentStatus,
  type EnrolledNamespace,
  type ProofRow,
} from '#common/control/messages.ts';
import { Gate } from '#common/gate.ts';
import type { Part } from '#common/lifecycle.ts';
import type { Logger } from '#common/log.ts';
import type { CertificateAuthority } from '../ca/certificate-authority.ts';
import type { AgentView } from '../ca/rotation.ts';
import { AgentConnection } from './agent-connection.ts';
import type { MeshState } from './mesh-state.ts';
import { Rate } from './rate.ts';
import type { Authenticate, Caller } from './tokens.ts';
import { AgentWire } from './wire.ts';

export interface PushServerDeps {
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly authenticate: Authenticate;
  readonly ca: CertificateAuthority;
  readonly state: MeshState;
  readonly trustDomain: string;
  /** Of this controller program. */
  readonly version: string;
  readonly onProof: (node: string, rows: readonly ProofRow[]) => void;
  readonly onStatus?: (node: string, status: AgentStatus) => void;
  /** An agent has applied this version, or is gone. */
  readonly onApplied?: (version: number) => void;
  /** Those that are connected to other controllers of this mesh. */
  readonly otherAgents?: () => readonly AgentView[];
  readonly log: Logger;
  /** Shorter in tests. */
  readonly timing?: { readonly pingIntervalMs: number; readonly silenceLimitMs: number };
}

const UPGRADE_TIMEOUT_MS = 10_000;
const MOST_CONNECTIONS = 20_000;
/** A predecessor and its successor, and one of each that has not been noticed to be gone. */
const MOST_PER_NODE = 4;
const SNAPSHOTS_AT_ONCE = 16;
/** A node with 250 pods may renew them all at once, twice. */
const REQUESTS = { burst: 512, perSecond: 64 };
const TICK_MS = 1000;

export class PushServer implements Part {
  readonly name = 'push';
  /** Of this process: versions of another epoch mean nothing here. */
  readonly epoch = randomUUID();
  readonly #deps: PushServerDeps;
  readonly #servers: Server[] = [];
  readonly #agents = new Set<AgentConnection>();
  readonly #requests = new Map<string, Rate>();
  readonly #snapshots = new Gate(SNAPSHOTS_AT_ONCE);
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: AGENT_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  /** Nodes whose agents have been here since the start. */
  readonly #served = new Set<string>();
  #namespaces: readonly EnrolledNamespace[] = [];
  #tick: NodeJS.Timeout | undefined;
  #renewAtMs = 0;
  /** Connections refused for their token. */
  refusedTokens = 0;
  readonly certificates = { issued: 0, refused: 0 };

  constructor(deps: PushServerDeps) {
    this.#deps = deps;
  }

  /** Those that have said hello, oldest first. */
  get agents(): readonly AgentConnection[] {
    return [...this.#agents].filter(({ hello }) => hello !== undefined);
  }

  /** Where it listens: of use when a port was 0. */
  get addresses(): { readonly host: string; readonly port: number }[] {
    return this.#servers.flatMap((server) => {
      const at = server.address();
      return at === null || typeof at === 'string' ? [] : [{ host: at.address, port: at.port }];
    });
  }

  async start(): Promise<void> {
    for (const { host, port } of this.#deps.listen) {
      const server = createServer(
        {
          ...this.#credentials(),
          minVersion: 'TLSv1.3',
          ALPNProtocols: ['http/1.1'],
          handshakeTimeout: UPGRADE_TIMEOUT_MS,
          headersTimeout: UPGRADE_TIMEOUT_MS,
          requestTimeout: UPGRADE_TIMEOUT_MS,
          connectionsCheckingInterval: UPGRADE_TIMEOUT_MS / 2,
          keepAliveTimeout: TICK_MS,
        },
        (_request, response) => {
          response.writeHead(426, { 'content-type': 'text/plain', connection: 'close' });
          response.end('This is where node agents connect, with a WebSocket.\n');
        },
      );
      server.maxConnections = MOST_CONNECTIONS;
      server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
      server.listen(port, host);
      await once(server, 'listening');
      this.#servers.push(server);
    }
    this.#tick = setInterval(() => void this.#everySecond(), TICK_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick);
    for (const agent of this.#agents) agent.close(1001, 'the controller is stopping');
    for (const server of this.#servers.splice(0)) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
    this.#sockets.close();
  }

  /** The mesh state has a new version. */
  wake(): void {
    for (const agent of this.#agents) agent.wake();
  }

  /** Cuts off the agent whose pod is gone: nobody vouches for it any more. */
  dropPod(podUid: string): void {
    for (const agent of this.#agents) {
      if (agent.podUid === podUid)
        agent.close(CLOSE_CODES.notAllowed, 'the pod of this agent is gone');
    }
  }

  /** Says which namespaces are enrolled. */
  setNamespaces(namespaces: readonly EnrolledNamespace[]): void {
    if (JSON.stringify(namespaces) === JSON.stringify(this.#namespaces)) return;
    this.#namespaces = namespaces;
    for (const agent of this.#agents) agent.sendNamespaces();
  }

  /** The CA has changed its roots or its authority. */
  trustChanged(): void {
    this.#useNewCertificate();
    for (const agent of this.#agents) agent.sendTrust();
  }

  /** The agents, as a root rotation sees them. */
  views(): AgentView[] {
    return this.agents.map(({ node, generation, leaves }) => ({
      node,
      generation,
      authorities: leaves?.map(({ authority }) => authority),
    }));
  }

  /** Lets a root rotation take its next step, if nothing stands against it. */
  async advanceRotation(): Promise<void> {
    const { ca, state, otherAgents, log } = this.#deps;
    if (!ca.isRotating) return;
    try {
      const agents = [...this.views(), ...(otherAgents?.() ?? [])];
      // Who was never here holds nothing, unless somebody else has signed for it.
      const mayHold = (node: string): boolean => !ca.isNew || this.#served.has(node);
      await ca.advance(agents, () => state.nodesInMesh().filter(mayHold));
    } catch (error) {
      log.error('a root rotation cannot take its next step; it tries again', { error });
    }
  }

  async #everySecond(): Promise<void> {
    await this.#deps.ca.refresh();
    await this.advanceRotation();
    if (Date.now() > this.#renewAtMs) this.#useNewCertificate();
  }

  #useNewCertificate(): void {
    const credentials = this.#credentials();
    for (const server of this.#servers) {
      server.setSecureContext({ ...credentials, minVersion: 'TLSv1.3' });
    }
  }

  #credentials(): { readonly cert: string; readonly key: string } {
    const { chainPem, keyPem, notAfterMs } = this.#deps.ca.issueController();
    this.#renewAtMs = Date.now() + (notAfterMs - Date.now()) / 2;
    return { cert: chainPem, key: keyPem };
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { log, authenticate } = this.#deps;
    const remote = request.socket.remoteAddress ?? '';
    const cut = (): void => void socket.destroy();
    socket.on('error', cut);
    const late = setTimeout(cut, UPGRADE_TIMEOUT_MS).unref();
    try {
      const refusal = await this.#check(request, authenticate);
      if (typeof refusal === 'string') {
        log.warn('agent refused', { remote, reason: refusal });
        socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
        return;
      }
      if (socket.destroyed) return;
      this.#sockets.handleUpgrade(request, socket, head, (ws) => {
        socket.off('error', cut);
        this.#accept(new AgentWire(ws, request.socket, this.#deps.timing), refusal, remote);
      });
    } catch (error) {
      log.error('agent could not be authenticated', { remote, error });
      socket.end('HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n');
    } finally {
      clearTimeout(late);
    }
  }

  /** Returns the caller, or the status line with which it is refused. */
  async #check(
    { url, headers }: IncomingMessage,
    authenticate: Authenticate,
  ): Promise<Caller | string> {
    if (url !== AGENT_PATH) return '404 Not Found';
    const token = /^Bearer ([\w.~+/=-]{1,8192})$/.exec(headers.authorization ?? '')?.[1];
    const caller = token === undefined ? undefined : await authenticate(token);
    if (caller !== undefined) return caller;
    this.refusedTokens += 1;
    return '401 Unauthorized';
  }

  #accept(wire: AgentWire, { node, podUid }: Caller, remote: string): void {
    const { ca, state, trustDomain, version, onProof, log } = this.#deps;
    const requests = this.#requests.get(node) ?? new Rate(REQUESTS, performance.now());
    this.#requests.set(node, requests);
    this.#served.add(node);
    this.#limit(node);
    const agent = new AgentConnection({
      wire,
      node,
      podUid,
      remote,
      epoch: this.epoch,
      version,
      trustDomain,
      state,
      snapshots: this.#snapshots,
      requests,
      trust: () => ca.trust,
      namespaces: () => this.#namespaces,
      issue: (identity, key) => ca.issue(identity, key),
      onProgress: () => void this.advanceRotation(),
      onProof,
      onStatus: (of, status) => this.#deps.onStatus?.(of, status),
      onApplied: (applied) => this.#deps.onApplied?.(applied),
      certificates: this.certificates,
      log,
    });
    this.#agents.add(agent);
    wire.attach({
      onText: (text) => agent.receive(text),
      onBinary: () => agent.close(CLOSE_CODES.messageInvalid, 'binary messages are not for us'),
      onClosed: (code, reason) => {
        agent.ended();
        this.#agents.delete(agent);
        log.info('agent disconnected', { node, remote, code, reason });
      },
    });
  }

  /** Makes room for one more connection of this node by closing its oldest. */
  #limit(node: string): void {
    const ofNode = [...this.#agents].filter((agent) => agent.node === node);
    for (const agent of ofNode.slice(0, Math.max(0, ofNode.length - MOST_PER_NODE + 1))) {
      this.#deps.log.warn('too many connections of one node; the oldest is closed', { node });
      agent.close(CLOSE_CODES.superseded, 'superseded by newer connections of this node');
    }
  }
}
