/**
 * The two questions that an agent asks the API server: one object, and what becomes of it. Plain HTTPS
 * with the pod's own token, read anew for each question since kubelet replaces it; no client library,
 * which would cost every node 80 MB.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import type { Reply } from './verdict.ts';

export interface ApiServerOptions {
  readonly host: string;
  readonly port: number;
  /** Directory with `token` and `ca.crt`. */
  readonly credentials: string;
}

const TIMEOUT_MS = 3_000;
/** A watch brings a bookmark each minute: after this long without a byte its server is gone. */
const SILENCE_MS = 150_000;
const LONGEST_BODY_BYTES = 4 << 20;

/** Where pods find the API server; undefined outside of a cluster. */
export function inCluster(env: NodeJS.ProcessEnv): ApiServerOptions | undefined {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (host === undefined || host === '') return undefined;
  const credentials = '/var/run/secrets/kubernetes.io/serviceaccount';
  return { host, port: Number(port), credentials };
}

export class ApiServer {
  readonly #options: ApiServerOptions;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  /** Rejects when there is no answer in three seconds. */
  async get(path: string): Promise<Reply> {
    const response = await this.#ask(path, AbortSignal.timeout(TIMEOUT_MS), TIMEOUT_MS);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) throw new TypeError('an answer is read as bytes');
      length += chunk.length;
      if (length > LONGEST_BODY_BYTES) throw new RangeError('the answer is too long');
      chunks.push(chunk);
    }
    return { status: response.statusCode ?? 0, body: decode(Buffer.concat(chunks).toString()) };
  }

  /** Calls back with each event, decoded, until the watch ends; rejects when it cannot begin. */
  async watch(path: string, onEvent: (event: unknown) => void, signal: AbortSignal): Promise<void> {
    const response = await this.#ask(path, signal, SILENCE_MS);
    if (response.statusCode !== 200) {
      response.destroy();
      throw new Error(`the API server answered ${response.statusCode ?? 0} to a watch`);
    }
    for await (const line of createInterface({ input: response })) onEvent(decode(line));
  }

  async #ask(path: string, signal: AbortSignal, timeout: number): Promise<IncomingMessage> {
    const { host, port, credentials } = this.#options;
    const answer = Promise.withResolvers<IncomingMessage>();
    const asked = request({
      host,
      port,
      path,
      signal,
      timeout,
      agent: false,
      ca: readFileSync(`${credentials}/ca.crt`),
      headers: {
        authorization: `Bearer ${readFileSync(`${credentials}/token`, 'utf8').trim()}`,
        accept: 'application/json',
      },
    });
    asked.on('response', answer.resolve);
    asked.on('error', answer.reject);
    asked.on('timeout', () => asked.destroy(new Error('the API server is silent')));
    asked.end();
    return answer.promise;
  }
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Judged as what it is: nothing that is known.
  }
}
