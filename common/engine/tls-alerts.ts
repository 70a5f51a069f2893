/** TLS alerts by number and name (RFC 8446 section 6), and the ways in which a connection fails. */
import { MeshError } from '../errors.ts';
import { errnoName } from '../sys/constants.ts';

export const CLOSE_NOTIFY = 0;
export const UNEXPECTED_MESSAGE = 10;
export const BAD_RECORD_MAC = 20;
export const RECORD_OVERFLOW = 22;
export const BAD_CERTIFICATE = 42;
export const ILLEGAL_PARAMETER = 47;
export const DECODE_ERROR = 50;
export const INTERNAL_ERROR = 80;
export const USER_CANCELED = 90;

export const LEVEL_WARNING = 1;
export const LEVEL_FATAL = 2;

const NAMES: Readonly<Record<number, string>> = {
  0: 'close_notify',
  10: 'unexpected_message',
  20: 'bad_record_mac',
  22: 'record_overflow',
  40: 'handshake_failure',
  42: 'bad_certificate',
  43: 'unsupported_certificate',
  44: 'certificate_revoked',
  45: 'certificate_expired',
  46: 'certificate_unknown',
  47: 'illegal_parameter',
  48: 'unknown_ca',
  49: 'access_denied',
  50: 'decode_error',
  51: 'decrypt_error',
  70: 'protocol_version',
  71: 'insufficient_security',
  80: 'internal_error',
  86: 'inappropriate_fallback',
  90: 'user_canceled',
  109: 'missing_extension',
  110: 'unsupported_extension',
  112: 'unrecognized_name',
  113: 'bad_certificate_status_response',
  115: 'unknown_psk_identity',
  116: 'certificate_required',
  120: 'no_application_protocol',
};

export function alertName(alert: number): string {
  return NAMES[alert] ?? `alert ${alert}`;
}

/** What the peer did that we refuse, with the alert that tells it so. */
export class TlsViolation extends MeshError {
  readonly alert: number;

  constructor(alert: number, found: string) {
    super('TLS_FAILURE', `Cannot go on with TLS: ${found}`, {
      details: { alert: alertName(alert), side: 'local' },
    });
    this.alert = alert;
  }
}

/** The failure that an alert of the peer's stands for. */
export function alertReceived(alert: number): MeshError {
  const name = alertName(alert);
  return new MeshError('TLS_FAILURE', `Cannot go on with TLS: the peer sent "${name}"`, {
    details: { alert: name, side: 'peer' },
  });
}

/** The failure of a connection that had been secure. */
export function tunnelLost(found: string, cause?: unknown): MeshError {
  return new MeshError('TUNNEL_LOST', `Cannot go on with a tunnel: ${found}`, { cause });
}

export function connectFailed(errno: number): MeshError {
  const name = errnoName(errno);
  return new MeshError('CONNECT_FAILED', `Cannot connect to the peer: ${name}`, {
    details: { errno: name },
  });
}

/** What it means that time ran out in a phase; undefined where that is no failure. */
export function timedOut(phase: string): MeshError | undefined {
  if (phase === 'connecting') {
    return new MeshError('CONNECT_TIMEOUT', 'Cannot connect to the peer: no answer in time');
  }
  if (phase !== 'handshake') return undefined;
  return new MeshError('TLS_FAILURE', 'Cannot complete the TLS handshake: the peer is too slow', {
    details: { reason: 'time-out', side: 'peer' },
  });
}
