/**
 * The one door to a Kubernetes API server: who we are there, single calls, paged lists, watches.
 *
 * Every wait is bounded: a call by its whole time, a watch by the time to its first byte and then by
 * its silence. Nothing is tried again here: a failure is a `KUBERNETES_API_FAILED` with the HTTP status
 * in its details (0: no answer), and what to do about it is the caller's to know. Credentials are read
 * anew for each request (a token file that was renewed counts within a minute) and are never logged.
 */
import { KubeConfig } from '@kubernetes/client-node';
import { Agent, request as openRequest, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { MeshError } from '#common/errors.ts';
import { JsonLines } from './json-lines.ts';
import { pathOf, type ObjectName, type Resource } from './resource.ts';

/** An object as the API server writes it; what is in it is for the caller to decode. */
export type KubeObject = Readonly<Record<string, unknown>>;

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Without query, such as `/api/v1/pods`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** For the whole call. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ListPage {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  /** Token of the next page; '' at the last. */
  readonly next: string;
}

export interface WatchOptions {
  readonly resource: Resource;
  readonly namespace?: string;
  readonly query: Readonly<Record<string, string>>;
  /** Without a byte for this long the watch is dead. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** The events of one chunk, in order, parsed but not decoded. */
  readonly onEvents: (events: readonly unknown[]) => void;
}

export type CallOptions = Pick<ApiRequest, 'query' | 'timeoutMs' | 'signal'>;

/** How a patch is to be read. */
export type PatchKind = 'merge' | 'strategic' | 'json';

const CALL_MS = 10_000;
const PAGE_MS = 60_000;
const WATCH_OPENS_MS = 30_000;
const LONGEST_BODY_BYTES = 256 * 1024 * 1024;
const PATCH_TYPES: Readonly<Record<PatchKind, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
};

/** Reads who we are and where the server is: from a kubeconfig file, or as a pod of the cluster. */
export function loadKubeConfig(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    if (file === undefined) {
      if (process.env['KUBERNETES_SERVICE_HOST'] === undefined) {
        throw new Error('not in a pod: KUBERNETES_SERVICE_HOST is not set');
      }
      config.loadFromCluster();
    } else {
      config.loadFromFile(file);
    }
    const server = config.getCurrentCluster()?.server;
    if (server?.startsWith('https://') !== true)
      throw new Error('no cluster with an https address');
  } catch (error) {
    const what = file === undefined ? 'the cluster around this pod' : `the kubeconfig "${file}"`;
    const found = error instanceof Error ? error.message : 'unreadable';
    throw new MeshError('CONFIG_INVALID', `Cannot use ${what}: ${found}`, { cause: error });
  }
  return config;
}

/** The HTTP status with which the API server refused; 0 when it gave none, or for another error. */
export function statusOf(error: unknown): number {
  if (!(error instanceof MeshError) || error.code !== 'KUBERNETES_API_FAILED') return 0;
  return Number(error.details['status'] ?? 0);
}

export class ApiClient {
  readonly #config: KubeConfig;
  readonly #server: URL;
  /** Pools by credentials and CA too, so renewed ones are used by new connections. */
  readonly #agent = new Agent({ keepAlive: true, maxCachedSessions: 10 });

  constructor(config: KubeConfig) {
    this.#config = config;
    this.#server = new URL(config.getCurrentCluster()?.server ?? '');
  }

  /** Sends one request and reads its answer; rejects for any status but 2xx. */
  async request<T = KubeObject>(request: ApiRequest): Promise<T> {
    const limit = AbortSignal.timeout(request.timeoutMs ?? CALL_MS);
    const signal = request.signal === undefined ? limit : AbortSignal.any([limit, request.signal]);
    try {
      const answer = await this.#send(request, signal);
      const text = await readBody(answer);
      refuse(request, answer.statusCode ?? 0, text);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what the API server promises for this path; fields that count are decoded by the caller
      return JSON.parse(text) as T;
    } catch (error) {
      throw failure(request, error, limit.aborted ? 'no answer in time' : undefined);
    }
  }

  /** Returns the object, or undefined when there is none. */
  async get<T = KubeObject>(
    resource: Resource,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    return this.find<T>(pathOf(resource, name), options);
  }

  /** Returns what is at a path, or undefined when nothing is. */
  async find<T = KubeObject>(path: string, options: CallOptions = {}): Promise<T | undefined> {
    try {
      return await this.request<T>({ ...options, method: 'GET', path });
    } catch (error) {
      if (statusOf(error) === 404) return undefined;
      throw error;
    }
  }

  /** One page of a list; ask with the `next` of the page before until it is ''. */
  async list(
    resource: Resource,
    options: CallOptions & { namespace?: string; limit?: number; next?: string } = {},
  ): Promise<ListPage> {
    const { namespace, limit = 500, next = '', query, ...rest } = options;
    const list = await this.request({
      timeoutMs: PAGE_MS,
      ...rest,
      method: 'GET',
      path: pathOf(resource, { namespace, name: undefined }),
      query: { ...query, limit: String(limit), ...(next === '' ? {} : { continue: next }) },
    });
    const { items, metadata } = list;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- ListMeta, as every API server writes it
    const meta = (metadata ?? {}) as { resourceVersion?: string; continue?: string };
    return {
      items: Array.isArray(items) ? items : [],
      resourceVersion: meta.resourceVersion ?? '',
      next: meta.continue ?? '',
    };
  }

  async create<T = KubeObject>(
    resource: Resource,
    namespace: string | undefined,
    body: unknown,
    options: CallOptions = {},
  ): Promise<T> {
    const path = pathOf(resource, { namespace, name: undefined });
    return this.request({ ...options, method: 'POST', path, body });
  }

  /** With `metadata.resourceVersion` in the body a newer object is not overwritten: status 409. */
  async replace<T = KubeObject>(
    resource: Resource,
    name: ObjectName,
    body: unknown,
    options: CallOptions = {},
  ): Promise<T> {
    return this.request({ ...options, method: 'PUT', path: pathOf(resource, name), body });
  }

  async patch<T = KubeObject>(
    resource: Resource,
    name: ObjectName,
    patch: { kind: PatchKind; body: unknown },
    options: CallOptions = {},
  ): Promise<T> {
    return this.request({
      ...options,
      method: 'PATCH',
      path: pathOf(resource, name),
      body: patch.body,
      contentType: PATCH_TYPES[patch.kind],
    });
  }

  /** Server-side apply: the body holds all the fields that we own, and no others. */
  async apply<T = KubeObject>(
    resource: Resource,
    name: ObjectName,
    body: unknown,
    options: CallOptions = {},
  ): Promise<T> {
    return this.request({
      ...options,
      query: { fieldManager: 'plumbline', force: 'true', ...options.query },
      method: 'PATCH',
      path: pathOf(resource, name),
      body,
      contentType: 'application/apply-patch+yaml',
    });
  }

  /** Returns false when there was nothing to delete. */
  async delete(
    resource: Resource,
    name: ObjectName,
    options: CallOptions & { body?: unknown } = {},
  ): Promise<boolean> {
    try {
      await this.request({ ...options, method: 'DELETE', path: pathOf(resource, name) });
      return true;
    } catch (error) {
      if (statusOf(error) === 404) return false;
      throw error;
    }
  }

  /** Resolves when the server ends the watch in order; rejects in every other case. */
  async watch(options: WatchOptions): Promise<void> {
    const { resource, namespace, silenceMs, onEvents } = options;
    const request: ApiRequest = {
      method: 'GET',
      path: pathOf(resource, { namespace, name: undefined }),
      query: { ...options.query, watch: 'true' },
    };
    const death = new AbortController();
    let reason = 'no answer in time';
    const timer = setTimeout(() => death.abort(), WATCH_OPENS_MS);
    try {
      const answer = await this.#send(request, AbortSignal.any([death.signal, options.signal]));
      if (answer.statusCode !== 200) {
        refuse(request, answer.statusCode ?? 0, await readBody(answer));
      }
      reason = `silent for ${silenceMs} ms`;
      clearTimeout(timer);
      const silence = setTimeout(() => death.abort(), silenceMs);
      try {
        const lines = new JsonLines();
        for await (const chunk of answer) {
          silence.refresh();
          onEvents(lines.take(chunk));
        }
      } finally {
        clearTimeout(silence);
      }
    } catch (error) {
      throw failure(request, error, death.signal.aborted ? reason : undefined);
    } finally {
      clearTimeout(timer);
      // Node keeps a combined signal for as long as none of its parts has fired and one lives on.
      death.abort();
    }
  }

  /** Closes idle connections; requests under way are ended by their own signals. */
  close(): void {
    this.#agent.destroy();
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, path, query = {}, body } = request;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const credentials: Record<string, string> = {};
    const options: RequestOptions = { headers: credentials };
    await this.#config.applyToHTTPSOptions(options);
    signal.throwIfAborted();
    const search = new URLSearchParams(query).toString();
    const prefix = this.#server.pathname.replace(/\/$/, '');
    const headers: Record<string, string | number> = {
      ...credentials,
      accept: 'application/json',
      'user-agent': 'plumbline-controller',
    };
    if (text !== undefined) {
      headers['content-type'] = request.contentType ?? 'application/json';
      headers['content-length'] = Buffer.byteLength(text);
    }
    const isProxied = this.#config.getCurrentCluster()?.proxyUrl !== undefined;
    return new Promise((resolve, reject) => {
      const call = openRequest({
        ...options,
        agent: isProxied ? options.agent : this.#agent,
        hostname: this.#server.hostname.replace(/^\[|\]$/g, ''),
        port: this.#server.port || 443,
        path: `${prefix}${path}${search === '' ? '' : `?${search}`}`,
        method,
        headers,
        signal,
      });
      call.on('response', resolve);
      call.on('error', reject);
      call.end(text);
    });
  }
}

async function readBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > LONGEST_BODY_BYTES) throw new RangeError(`more than ${LONGEST_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString('utf8');
}

/** Throws for any status but 2xx, in the words of the server's `Status` object where it sent one. */
function refuse({ method, path }: ApiRequest, status: number, text: string): void {
  if (status >= 200 && status < 300) return;
  const { message, reason } = readStatus(text);
  throw new MeshError(
    'KUBERNETES_API_FAILED',
    `Cannot ${method} ${path}: ${status} ${message.slice(0, 500)}`,
    { details: { status, reason } },
  );
}

function readStatus(text: string): { message: string; reason: string } {
  try {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- both fields are checked below
    const { message, reason } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return {
      message: typeof message === 'string' ? message : text,
      reason: typeof reason === 'string' ? reason : '',
    };
  } catch {
    return { message: text, reason: '' };
  }
}

function failure({ method, path }: ApiRequest, error: unknown, timedOut?: string): MeshError {
  if (error instanceof MeshError) return error;
  const found = timedOut ?? (error instanceof Error ? error.message : 'unknown');
  return new MeshError('KUBERNETES_API_FAILED', `Cannot ${method} ${path}: ${found}`, {
    cause: error,
    details: { status: 0, reason: '' },
  });
}
