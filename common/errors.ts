/**
 * The one error class of the mesh.
 *
 * Code branches on `code`, people read `message`, logs carry `details`. A released code keeps its
 * meaning for good; a message may be reworded at any time.
 */

/** Every way in which a mesh operation can fail; docs/errors.md has a row for each. */
export type ErrorCode =
  | 'ADDRESS_INVALID'
  | 'AGENT_UNREACHABLE'
  | 'CAPTURE_FAILED'
  | 'CERTIFICATE_INVALID'
  | 'CERTIFICATE_NOT_ISSUED'
  | 'COMMAND_FAILED'
  | 'CONFIG_INVALID'
  | 'CONNECT_FAILED'
  | 'CONNECT_TIMEOUT'
  | 'CONTROLLER_UNREACHABLE'
  | 'DESTINATION_MISMATCH'
  | 'HANDOVER_FAILED'
  | 'HBONE_CONNECT_FAILED'
  | 'HBONE_PROTOCOL_ERROR'
  | 'HTTP1_PROTOCOL_ERROR'
  | 'HTTP2_PROTOCOL_ERROR'
  | 'IDENTITY_INVALID'
  | 'IDENTITY_MISMATCH'
  | 'IDENTITY_REFUSED'
  | 'KUBERNETES_API_FAILED'
  | 'LIMIT_REACHED'
  | 'LOOP_REFUSED'
  | 'MESSAGE_INVALID'
  | 'NETNS_NOT_ENTERED'
  | 'NETNS_NOT_FOUND'
  | 'NO_CERTIFICATE'
  | 'NO_HEALTHY_ENDPOINT'
  | 'NO_ROUTE'
  | 'NOT_AUTHENTICATED'
  | 'NOT_LEADING'
  | 'OBJECT_INVALID'
  | 'POLICY_CHANGED'
  | 'POLICY_DENIED'
  | 'PROOF_FAILED'
  | 'REQUEST_INVALID'
  | 'REQUEST_TIMEOUT'
  | 'STATE_UNREADABLE'
  | 'STOPPING'
  | 'SYSTEM_CALL_FAILED'
  | 'TLS_FAILURE'
  | 'TUNNEL_LOST'
  | 'UNKNOWN_SOURCE'
  | 'VERSION_UNSUPPORTED';

export type ErrorDetails = Readonly<Record<string, string | number>>;

export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options: ErrorOptions & { details?: ErrorDetails } = {},
  ) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Says whether `error`, or anything that caused it, is a mesh error with this code. */
export function hasCode(error: unknown, code: ErrorCode): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof MeshError && e.code === code) return true;
  }
  return false;
}
