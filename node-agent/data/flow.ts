/**
 * One connection as it is told about: its record in the making, and its row in the counters.
 *
 * A flow is opened at most once and ends exactly once; ending one that was never opened opens it with
 * what is known by then, so that every connection that was accepted is counted, however it failed.
 */
import type { ErrorCode, MeshError } from '#common/errors.ts';
import type { Service } from '#common/mesh/service.ts';
import type { View } from '#common/mesh/view.ts';
import type { Workload } from '#common/mesh/workload.ts';
import { reporterOf } from './flow-table.ts';
import type { FlowLabels, FlowParty, FlowTable } from './flow-table.ts';
import type { EndState, FlowState } from './handover-state.ts';
import { flagOf } from './record.ts';
import type { ConnectionInfo, ConnectionRecord, Direction, Ending, Party } from './record.ts';
import type { ResponseFlag, Security } from './record.ts';

/** One end, as far as it is known. */
export interface FlowEnd {
  address: string;
  port: number;
  workload: Workload | undefined;
  /** Only when a certificate has proved it. */
  identity: string;
}

export interface FlowDeps {
  readonly worker: number;
  readonly table: FlowTable;
  /** Takes the record of a connection that has ended. */
  readonly tell: (record: ConnectionRecord) => void;
  readonly now: () => number;
  readonly version: () => number;
}

let lastId = 0;

export class Flow {
  readonly id: number;
  readonly direction: Direction;
  readonly podUid: string;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  service: Service | undefined;
  hboneAddress = '';
  traceId = '';
  security: Security = 'unknown';
  policy = '';
  rule = '';
  nearMiss = '';
  audits: ConnectionRecord['audits'] = [];
  retries = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly #deps: FlowDeps;
  readonly #start: number;
  readonly #startedAt: number;
  #version: number;
  #row = -1;
  #hasEnded = false;

  constructor(
    deps: FlowDeps,
    at: {
      readonly direction: Direction;
      readonly podUid: string;
      readonly source: FlowEnd;
      readonly destination: FlowEnd;
    },
    before?: FlowState,
  ) {
    lastId += 1;
    this.id = lastId;
    this.direction = at.direction;
    this.podUid = at.podUid;
    this.source = at.source;
    this.destination = at.destination;
    this.#deps = deps;
    this.#start = before?.start ?? Date.now();
    this.#startedAt = deps.now() - (before?.elapsedMs ?? 0);
    this.#version = before?.version ?? deps.version();
    deps.table.count(at.direction === 'inbound' ? 'inboundOpen' : 'outboundOpen');
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Counts the connection as open, under the labels that it has now. */
  open(): void {
    if (this.#row >= 0) return;
    this.#version = this.#deps.version();
    this.#row = rowOf(this.#deps.table, this);
    this.#deps.table.opened(this.#row);
  }

  /** What a successor needs to go on with it, and to write the one record at its end. */
  state(): FlowState {
    return {
      direction: this.direction,
      source: endState(this.source),
      destination: endState(this.destination),
      service: this.service?.key ?? '',
      hboneAddress: this.hboneAddress,
      traceId: this.traceId,
      security: this.security,
      policy: this.policy,
      rule: this.rule,
      nearMiss: this.nearMiss,
      audits: this.audits,
      retries: this.retries,
      requestBytes: this.requestBytes,
      responseBytes: this.responseBytes,
      start: this.#start,
      elapsedMs: this.#deps.now() - this.#startedAt,
      version: this.#version,
      isOpen: this.#row >= 0,
    };
  }

  /** Goes on with a flow of which `state` tells; a predecessor has counted that it was opened. */
  static restored(deps: FlowDeps, view: View, podUid: string, state: FlowState): Flow {
    const { direction } = state;
    const source = endOf(view, state.source);
    const destination = endOf(view, state.destination);
    const flow = new Flow(deps, { direction, podUid, source, destination }, state);
    flow.service = state.service === '' ? undefined : view.service(state.service);
    flow.hboneAddress = state.hboneAddress;
    flow.traceId = state.traceId;
    flow.security = state.security;
    flow.policy = state.policy;
    flow.rule = state.rule;
    flow.nearMiss = state.nearMiss;
    flow.audits = state.audits;
    flow.retries = state.retries;
    flow.requestBytes = state.requestBytes;
    flow.responseBytes = state.responseBytes;
    if (state.isOpen) flow.#row = rowOf(deps.table, flow);
    return flow;
  }

  /** Another process goes on with it, and tells of its end. */
  release(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#deps.table.count(this.direction === 'inbound' ? 'inboundOpen' : 'outboundOpen', -1);
  }

  /** Counts bytes on their way from client to server. */
  request(bytes: number): void {
    this.requestBytes += bytes;
    this.#deps.table.request(this.#row, bytes);
  }

  /** Counts bytes on their way from server to client. */
  response(bytes: number): void {
    this.responseBytes += bytes;
    this.#deps.table.response(this.#row, bytes);
  }

  end(ending: Ending, error?: MeshError): void {
    if (this.#hasEnded) return;
    this.open();
    this.#hasEnded = true;
    const { table } = this.#deps;
    table.count(this.direction === 'inbound' ? 'inboundOpen' : 'outboundOpen', -1);
    const flag = this.#flag(error?.code);
    table.closed(this.#row, flag);
    if (error?.code === 'POLICY_DENIED') table.count('policyDenied');
    if (error?.code === 'POLICY_CHANGED') table.count('policyChanged');
    if (this.audits.some(({ wouldDeny }) => wouldDeny)) table.count('dryRunDenied');
    this.#deps.tell(this.#record(ending, flag, error));
  }

  /** What is known so far. */
  info(): ConnectionInfo {
    return { ...this.#record('closed', '-', undefined), podUid: this.podUid };
  }

  #flag(code: ErrorCode | undefined): ResponseFlag {
    if (code === undefined) return '-';
    // Who cannot even reach the tunnel port of a meshed pod meets, as a rule, a NetworkPolicy.
    const isTunnel = this.direction === 'outbound' && this.hboneAddress !== '';
    return code === 'CONNECT_TIMEOUT' && isTunnel ? 'NETWORK_POLICY' : flagOf(code);
  }

  #record(ending: Ending, flag: ResponseFlag, error: MeshError | undefined): ConnectionRecord {
    const isOutbound = this.direction === 'outbound';
    return {
      id: this.id,
      worker: this.#deps.worker,
      direction: this.direction,
      start: this.#start,
      durationMs: this.#deps.now() - this.#startedAt,
      source: partyOf(this.source),
      destination: partyOf(this.destination),
      service: this.service?.key ?? '',
      hboneAddress: this.hboneAddress,
      traceId: this.traceId,
      bytesSent: isOutbound ? this.requestBytes : this.responseBytes,
      bytesReceived: isOutbound ? this.responseBytes : this.requestBytes,
      security: this.security,
      flag,
      ending,
      error: error === undefined ? undefined : { code: error.code, message: error.message },
      policy: this.policy,
      rule: this.rule,
      nearMiss: this.nearMiss,
      audits: this.audits,
      retries: this.retries,
      version: this.#version,
    };
  }
}

function endState({ address, port, workload, identity }: FlowEnd): EndState {
  return { address, port, uid: workload?.uid ?? '', identity };
}

function endOf(view: View, { address, port, uid, identity }: EndState): FlowEnd {
  const workload = uid === '' ? undefined : view.workload(uid);
  return { address, port, workload, identity };
}

function partyOf({ address, port, workload, identity }: FlowEnd): Party {
  return {
    address,
    port,
    workload: workload?.name ?? '',
    namespace: workload?.namespace ?? '',
    identity,
    cluster: workload?.cluster ?? '',
  };
}

interface Described {
  readonly key: string;
  readonly party: FlowParty;
}

/** Workloads are replaced, never changed, so what was said of one stays true. */
const described = new WeakMap<Workload, Described>();

/** What a row was found for last. */
interface Found {
  readonly table: FlowTable;
  readonly security: Security;
  readonly service: Service | undefined;
  readonly from: Workload | undefined;
  readonly fromIdentity: string;
  readonly to: Workload | undefined;
  readonly toIdentity: string;
  readonly row: number;
}

/** By direction: connections between the same two come one after the other. */
const lastFound = new Map<Direction, Found>();

function rowOf(table: FlowTable, flow: Flow): number {
  const { direction, security, service, source, destination } = flow;
  const last = lastFound.get(direction);
  if (
    last?.table === table &&
    last.security === security &&
    last.service === service &&
    last.from === source.workload &&
    last.to === destination.workload &&
    last.fromIdentity === source.identity &&
    last.toIdentity === destination.identity
  ) {
    return last.row;
  }
  const row = searchRow(table, flow);
  lastFound.set(direction, {
    table,
    security,
    service,
    from: source.workload,
    fromIdentity: source.identity,
    to: destination.workload,
    toIdentity: destination.identity,
    row,
  });
  return row;
}

function searchRow(table: FlowTable, flow: Flow): number {
  const from = describe(flow.source.workload);
  const to = describe(flow.destination.workload);
  const key = `${flow.direction} ${flow.security} ${flow.service?.key ?? ''} ${from.key} ${flow.source.identity} ${to.key} ${flow.destination.identity}`;
  return table.rowOf(key, () => labelsOf(flow, from.party, to.party));
}

function labelsOf(flow: Flow, source: FlowParty, destination: FlowParty): FlowLabels {
  return {
    reporter: reporterOf(flow.direction),
    source: { ...source, principal: flow.source.identity },
    destination: { ...destination, principal: flow.destination.identity },
    service: flow.service?.hostname ?? '',
    serviceNamespace: flow.service?.namespace ?? '',
    serviceName: flow.service?.name ?? '',
    security: flow.security,
  };
}

function describe(workload: Workload | undefined): Described {
  if (workload === undefined) return NOBODY;
  const known = described.get(workload);
  if (known !== undefined) return known;
  const { workloadName, canonicalName, canonicalRevision, namespace, cluster } = workload;
  const made: Described = {
    key: `${cluster}/${namespace}/${workloadName}/${canonicalName}/${canonicalRevision}`,
    party: {
      workload: workloadName,
      canonicalService: canonicalName,
      canonicalRevision,
      namespace,
      principal: '',
      app: canonicalName,
      version: canonicalRevision,
      cluster,
    },
  };
  described.set(workload, made);
  return made;
}

const NOBODY: Described = {
  key: '',
  party: {
    workload: '',
    canonicalService: '',
    canonicalRevision: '',
    namespace: '',
    principal: '',
    app: '',
    version: '',
    cluster: '',
  },
};
