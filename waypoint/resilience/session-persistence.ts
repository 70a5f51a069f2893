/**
 * Sessions that stay with their endpoint, by a cookie or a header of ours.
 *
 * The value names the endpoint by a token that says nothing of where it is, with the times of the
 * session. Who makes one up reaches an endpoint of the service that he may reach anyhow. An endpoint
 * that is gone or out ends the session: a new one begins with the next choice.
 */
import type { SessionPersistence } from '#common/mesh/route.ts';
import type { Endpoint } from './endpoint.ts';
import type { EndpointSet } from './endpoint-set.ts';

export interface Session {
  readonly endpoint: Endpoint;
  readonly beganMs: number;
}

const VALUE_MAX = 64;

/** Finds the session that a value names; undefined when it is over, or none. */
export function readSession(
  set: EndpointSet,
  config: SessionPersistence,
  value: string | undefined,
  nowMs: number,
): Session | undefined {
  if (value === undefined || value.length > VALUE_MAX) return undefined;
  const [token = '', began = '', seen = '', more] = value.split('.');
  const beganMs = timeOf(began);
  const seenMs = timeOf(seen);
  if (more !== undefined || beganMs === undefined || seenMs === undefined) return undefined;
  const { absoluteTimeoutMs, idleTimeoutMs } = config;
  if (absoluteTimeoutMs > 0 && nowMs - beganMs >= absoluteTimeoutMs) return undefined;
  if (idleTimeoutMs > 0 && nowMs - seenMs >= idleTimeoutMs) return undefined;
  const endpoint = set.withToken(token);
  return endpoint?.isAvailable(nowMs) === true ? { endpoint, beganMs } : undefined;
}

/** The value that keeps a session with its endpoint. */
export function sessionValue({ endpoint, beganMs }: Session, nowMs: number): string {
  return [endpoint.token, secondsOf(beganMs), secondsOf(nowMs)].join('.');
}

/**
 * Says whether the client must be told a value: a new session, another endpoint, or one whose idle
 * time has to be set back.
 */
export function mustTell(
  config: SessionPersistence,
  known: Session | undefined,
  used: Endpoint,
): boolean {
  return known?.endpoint !== used || config.idleTimeoutMs > 0;
}

/** The `set-cookie` for a value. */
export function sessionCookie(
  config: SessionPersistence,
  value: string,
  isSecure: boolean,
): string {
  const age = config.isPermanent ? [`Max-Age=${Math.ceil(config.absoluteTimeoutMs / 1000)}`] : [];
  const secure = isSecure ? ['Secure'] : [];
  return [`${config.name}=${value}`, 'Path=/', ...age, 'HttpOnly', ...secure, 'SameSite=Lax'].join(
    '; ',
  );
}

/** The value of one cookie in a `cookie` header. */
export function cookieValue(header: string | undefined, name: string): string | undefined {
  if (header === undefined) return undefined;
  for (const pair of header.split(';')) {
    const equals = pair.indexOf('=');
    if (equals !== -1 && pair.slice(0, equals).trim() === name)
      return pair.slice(equals + 1).trim();
  }
  return undefined;
}

function secondsOf(ms: number): string {
  return Math.floor(ms / 1000).toString(36);
}

function timeOf(text: string): number | undefined {
  return /^[0-9a-z]{1,8}$/.test(text) ? Number.parseInt(text, 36) * 1000 : undefined;
}
