/**
 * What a peer may break, as the errors of the mesh: each carries the HTTP/2 code to answer with.
 *
 * A fault that is thrown ends the whole connection. Faults of a single stream are not thrown: they
 * are answered with RST_STREAM and counted.
 */
import { MeshError } from '../errors.ts';
import { CODE, codeName } from './frames.ts';

/** Makes the error of a connection that must end with this HTTP/2 code. */
export function http2Fault(code: number, found: string): MeshError {
  return new MeshError('HTTP2_PROTOCOL_ERROR', `Cannot go on with the HTTP/2 peer: ${found}`, {
    details: { http2Code: code, http2Error: codeName(code) },
  });
}

/** The HTTP/2 code that tells the peer about an error. */
export function faultCode(error: MeshError): number {
  const code = error.details['http2Code'];
  return typeof code === 'number' ? code : CODE.internalError;
}

export function compressionFault(found: string): MeshError {
  return http2Fault(CODE.compressionError, `header block: ${found}`);
}
