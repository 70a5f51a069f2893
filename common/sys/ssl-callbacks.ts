/**
 * The two callbacks that OpenSSL makes during a handshake: the key log and ALPN.
 *
 * One pair serves every context of this thread. They run inside `SSL_do_handshake` only, on this
 * thread, for the handshake that `during` names. An exception here would abort the process, so
 * each body catches everything and answers with a refusal; secrets never become strings.
 */
import { setUint64, setUint8 } from 'node:ffi';
import { calling } from './openssl.ts';
import { declare } from './native.ts';
import { newSlab, slabOf } from './slab.ts';

/** Takes the secrets of the traffic keys as they become known. */
export interface SecretSink {
  onSecret(from: 'client' | 'server', secret: Buffer): void;
}

const strnlen = declare('strnlen', 'size_t', ['uintptr_t', 'size_t']);
const memcpy = declare('memcpy', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'size_t']);

/** Label, 32 random bytes in hex, a secret of at most 48 bytes in hex, two spaces. */
const MAX_LINE = 256;
const MAX_ALPN = 256;
const ALPN_OK = 0;
const ALPN_FATAL = 2;

const line = newSlab(MAX_LINE);
const offered = newSlab(MAX_ALPN);
const h2 = slabOf(Buffer.from('h2'));
const CLIENT_LABEL = Buffer.from('CLIENT_TRAFFIC_SECRET_0 ');
const SERVER_LABEL = Buffer.from('SERVER_TRAFFIC_SECRET_0 ');

let current: SecretSink | undefined;
let keyLog: bigint | undefined;
let alpn: bigint | undefined;

/** Runs `step`, which calls into OpenSSL, with `sink` as the one to be told of secrets. */
export function during(sink: SecretSink, step: () => number): number {
  current = sink;
  try {
    return step();
  } finally {
    current = undefined;
  }
}

export function keyLogCallback(): bigint {
  keyLog ??= calling.lib.registerCallback(
    { arguments: ['pointer', 'pointer'], return: 'void' },
    (_ssl, text) => {
      try {
        onLine(Number(text));
      } catch {
        current = undefined; // the handshake then ends without keys, which fails it
      }
    },
  );
  return keyLog;
}

function onLine(address: number): void {
  const length = strnlen(address, MAX_LINE);
  memcpy(line.address, address, length);
  const from = startsWith(CLIENT_LABEL)
    ? 'client'
    : startsWith(SERVER_LABEL)
      ? 'server'
      : undefined;
  if (from !== undefined && length < MAX_LINE) {
    const at = line.bytes.lastIndexOf(0x20, length - 1) + 1;
    current?.onSecret(from, hexAt(at, length));
  }
  line.bytes.fill(0);
}

function startsWith(label: Buffer): boolean {
  return label.compare(line.bytes, 0, label.length) === 0;
}

function hexAt(from: number, to: number): Buffer {
  const secret = Buffer.allocUnsafeSlow((to - from) >> 1);
  for (let i = 0; i < secret.length; i += 1) {
    secret[i] = (digit(from + 2 * i) << 4) | digit(from + 2 * i + 1);
  }
  return secret;
}

function digit(at: number): number {
  const code = line.bytes[at] ?? 0;
  return code >= 0x61 ? code - 0x61 + 10 : code - 0x30;
}

export function alpnCallback(): bigint {
  alpn ??= calling.lib.registerCallback(
    {
      arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'uint32', 'pointer'],
      return: 'int32',
    },
    (_ssl, out, outLength, list, listLength) => {
      try {
        if (typeof out !== 'bigint' || typeof outLength !== 'bigint') return ALPN_FATAL;
        if (!offersH2(Number(list), listLength)) return ALPN_FATAL;
        setUint64(out, 0, BigInt(h2.address));
        setUint8(outLength, 0, 2);
        return ALPN_OK;
      } catch {
        return ALPN_FATAL;
      }
    },
  );
  return alpn;
}

/** Looks through the first bytes of a list of protocol names, each behind its length. */
function offersH2(address: number, length: number): boolean {
  const end = Math.min(length, MAX_ALPN);
  memcpy(offered.address, address, end);
  for (let at = 0; at < end; at += 1 + (offered.bytes[at] ?? 0)) {
    const isH2 = offered.bytes[at] === 2 && at + 3 <= end;
    if (isH2 && offered.bytes[at + 1] === 0x68 && offered.bytes[at + 2] === 0x32) return true;
  }
  return false;
}
