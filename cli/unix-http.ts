/**
 * Requests to the programs of a mesh over their Unix sockets.
 *
 * An answer is bounded in size and time; what is not 2xx throws with the program's own words.
 */
import { request } from 'node:http';
import { MeshError } from '#common/errors.ts';
import type { ErrorCode } from '#common/errors.ts';

export interface Call {
  readonly socket: string;
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
  /** Whom the message names, and with which code. */
  readonly peer: string;
  readonly code: Extract<ErrorCode, 'AGENT_UNREACHABLE' | 'CONTROLLER_UNREACHABLE'>;
}

const MOST_BODY_BYTES = 512 << 20;
const TIMEOUT_MS = 15_000;

/** Sends one request and returns the body of the answer. */
export async function callSocket(call: Call): Promise<string> {
  const limit = AbortSignal.timeout(call.timeoutMs ?? TIMEOUT_MS);
  const signal = call.signal === undefined ? limit : AbortSignal.any([limit, call.signal]);
  const done = Promise.withResolvers<string>();
  const fail = (cause: unknown): void => done.reject(unreachable(call, cause));
  const outgoing = request(
    {
      socketPath: call.socket,
      method: call.method ?? 'GET',
      path: call.path,
      headers: {
        host: 'localhost',
        connection: 'close',
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal,
    },
    (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('error', fail);
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MOST_BODY_BYTES) response.destroy(new Error('the answer is too large'));
        else chunks.push(chunk);
      });
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) done.resolve(body);
        else done.reject(refusal(call, status, body));
      });
    },
  );
  outgoing.once('error', fail);
  outgoing.end(call.body);
  return done.promise;
}

function unreachable(call: Call, cause: unknown): MeshError {
  const found = cause instanceof Error ? cause.message : String(cause);
  return new MeshError(call.code, `Cannot ask ${call.peer}: ${found}`, { cause });
}

/** It was reached and said no: the question is at fault when the status is 4xx. */
function refusal(call: Call, status: number, body: string): MeshError {
  const code = status >= 400 && status < 500 ? 'OBJECT_INVALID' : call.code;
  return new MeshError(code, `Cannot ask ${call.peer}: ${body.trim() || `status ${status}`}`);
}
