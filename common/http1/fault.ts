/**
 * What may be wrong with a message, each with the status that says it to a client.
 *
 * Faults are constants, so that refusing costs nothing; after one the connection is of no more use,
 * since nobody can be sure where the next message begins.
 */
export interface Fault {
  readonly status: number;
  /** What was found, for people. */
  readonly found: string;
}

const bad = (found: string): Fault => ({ status: 400, found });

export const FAULT = {
  startLine: bad('malformed start line'),
  method: bad('malformed method'),
  target: bad('malformed request target'),
  targetTooLong: { status: 414, found: 'request target too long' },
  version: { status: 505, found: 'neither HTTP/1.1 nor HTTP/1.0' },
  lineEnd: bad('line that does not end with CR LF'),
  fieldName: bad('malformed field name'),
  fieldValue: bad('bad character in a field value'),
  headTooLarge: { status: 431, found: 'header fields too large' },
  tooManyFields: { status: 431, found: 'too many header fields' },
  host: bad('not exactly one valid host'),
  authority: bad('the target names another host than the host field'),
  length: bad('malformed content-length'),
  lengths: bad('more than one content-length'),
  lengthAndCoding: bad('both content-length and transfer-encoding'),
  coding: { status: 501, found: 'transfer-encoding other than chunked' },
  codings: bad('more than one transfer-encoding'),
  codingVersion: bad('transfer-encoding in HTTP/1.0'),
  connection: bad('connection field that names what frames the message'),
  expectation: { status: 417, found: 'expectation other than 100-continue' },
  connect: { status: 501, found: 'CONNECT, which is not offered here' },
  upgrade: bad('upgrade of a request with content'),
  chunkSize: bad('malformed chunk size'),
  chunkExtension: bad('malformed chunk extension'),
  chunkEnd: bad('chunk that does not end with CR LF'),
  trailer: bad('field that may not be a trailer'),
  truncated: bad('the message ends too early'),
  status: bad('malformed status line'),
  switching: bad('101 that nobody has asked for'),
} as const satisfies Readonly<Record<string, Fault>>;
