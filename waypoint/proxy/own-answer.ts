/**
 * Answers that the waypoint gives by itself: which status a failure has, and how it is spelled for
 * HTTP and for gRPC; pure.
 */
import type { ErrorCode, MeshError } from '#common/errors.ts';
import type { Answer } from './router.ts';
import type { Response } from './response.ts';

export type OwnAnswer = Pick<Answer, 'status' | 'reason' | 'headers'>;

/** The field that carries the reason; a client sees it in the response. */
export const REASON_FIELD = 'plumbline-reason';

export function ownAnswer(status: number, reason: ErrorCode): OwnAnswer {
  return { status, reason };
}

const BY_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  POLICY_DENIED: 403,
  CONNECT_TIMEOUT: 504,
  REQUEST_TIMEOUT: 504,
  HTTP1_PROTOCOL_ERROR: 502,
  HTTP2_PROTOCOL_ERROR: 502,
};

/** What a client is told when the endpoint has failed. */
export function failureOf(error: MeshError | undefined): OwnAnswer {
  const reason = error?.code ?? 'CONNECT_FAILED';
  return { status: BY_CODE[reason] ?? 503, reason };
}

/** Status of gRPC by status of HTTP, as gRPC itself maps them. */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 8,
  501: 12,
  504: 4,
};
const GRPC_UNAVAILABLE = 14;

/** Makes a response of it; returns its content. */
export function writeOwn(into: Response, answer: OwnAnswer, isGrpc: boolean): string {
  const { status, reason, headers = [] } = answer;
  if (isGrpc && status >= 400) {
    into.ofOwn(200, 0);
    into.fields.append('content-type', 'application/grpc');
    into.fields.append('grpc-status', String(GRPC_STATUS[status] ?? GRPC_UNAVAILABLE));
    into.fields.append('grpc-message', reason);
    into.fields.append(REASON_FIELD, reason);
    return '';
  }
  const content = status >= 400 ? `${reason}\n` : '';
  into.ofOwn(status, content.length);
  for (const [name, value] of headers) into.fields.append(name, value);
  if (reason !== '') into.fields.append(REASON_FIELD, reason);
  if (content !== '') into.fields.append('content-type', 'text/plain; charset=utf-8');
  return content;
}
