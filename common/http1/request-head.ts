/**
 * The head of a request (RFC 9112 sections 3 and 6).
 *
 * There is exactly one host, and a target in absolute form names the same one, so that nobody behind
 * us can find another. CONNECT is refused: tunnels come another way. One empty line before the head
 * is passed over, as section 2.2 asks.
 */
import { AUTHORITY, TARGET, TOKEN } from './characters.ts';
import { FAULT, type Fault } from './fault.ts';
import { FieldBlock } from './field-block.ts';
import { Framing } from './framing.ts';
import { MAX_METHOD_BYTES, MAX_TARGET_BYTES } from './limits.ts';
import { NAME } from './names.ts';
import { versionMinor, VERSION_BYTES } from './version.ts';

const SPACE = 0x20;
const SLASH = 0x2f;

export class RequestHead {
  readonly fields = new FieldBlock();
  readonly framing = new Framing(this.fields);
  method = '';
  /** Of HTTP/1. */
  minor = 1;
  /** The start line has been read; what follows are fields. */
  #hasLine = false;
  #targetFrom = 0;
  #targetTo = 0;
  /** Where in an absolute target the authority stands, and where the path begins. */
  #hostFrom = 0;
  #hostTo = 0;
  #path: string | undefined;
  #authority: string | undefined;

  begin(): void {
    this.#hasLine = false;
    this.#hostFrom = 0;
    this.#hostTo = 0;
    this.#path = undefined;
    this.#authority = undefined;
    this.fields.begin(0);
  }

  /** Reads on, as `FieldBlock.read` does. */
  read(bytes: Buffer, base: number, to: number): number {
    if (!this.#hasLine) {
      const line = this.#startLine(bytes, base, to);
      if (line <= 0) return line;
      this.fields.begin(line - base);
      this.#hasLine = true;
    }
    const end = this.fields.read(bytes, base, to);
    if (end <= 0) return end;
    const fault = this.framing.read(this.minor) ?? this.#judge();
    return fault === undefined ? end : this.#refuse(fault);
  }

  /** Path and query, or `*`. */
  get path(): string {
    return (this.#path ??= this.#readPath());
  }

  /** The host that is asked for, with its port if one is named. */
  get authority(): string {
    return (this.#authority ??= this.#readAuthority());
  }

  /** The target was an absolute URI, so that it cannot be sent on as it stands. */
  get isAbsolute(): boolean {
    return this.#hostTo > 0;
  }

  /** Writes the target as it came, which must not have been absolute; returns where it ends. */
  copyTarget(into: Buffer, at: number): number {
    const { bytes, base } = this.fields;
    bytes.copy(into, at, base + this.#targetFrom, base + this.#targetTo);
    return at + this.#targetTo - this.#targetFrom;
  }

  #startLine(bytes: Buffer, base: number, to: number): number {
    let at = base;
    if (bytes[at] === 13 && at < to) {
      if (at + 1 >= to) return 0;
      if (bytes[at + 1] !== 10) return this.#refuse(FAULT.lineEnd);
      at += 2;
    }
    const from = at;
    while (at < to && TOKEN[bytes[at] ?? 0] !== 0) at += 1;
    if (at - from > MAX_METHOD_BYTES) return this.#refuse(FAULT.method);
    if (at >= to) return 0;
    if (bytes[at] !== SPACE || at === from) return this.#refuse(FAULT.method);
    const methodTo = at;
    at += 1;
    const target = at;
    while (at < to && TARGET[bytes[at] ?? 0] !== 0) at += 1;
    if (at - target > MAX_TARGET_BYTES) return this.#refuse(FAULT.targetTooLong);
    if (at >= to) return 0;
    if (bytes[at] !== SPACE || at === target) return this.#refuse(FAULT.target);
    const version = at + 1;
    if (version + VERSION_BYTES + 2 > to) return this.#partialVersion(bytes, version, to);
    this.minor = versionMinor(bytes, version);
    if (this.minor < 0) return this.#refuse(FAULT.version);
    at = version + VERSION_BYTES;
    if (bytes[at] !== 13 || bytes[at + 1] !== 10) return this.#refuse(FAULT.lineEnd);
    this.#targetFrom = target - base;
    this.#targetTo = version - 1 - base;
    this.method = methodAt(bytes, from, methodTo);
    const fault = this.#target(bytes, target, version - 1, base);
    return fault === undefined ? at + 2 : this.#refuse(fault);
  }

  /** The version and the line's end have not come whole; what has come may be wrong already. */
  #partialVersion(bytes: Buffer, version: number, to: number): number {
    const end = Math.min(to, version + VERSION_BYTES);
    for (let at = version; at < end; at += 1) {
      if ((bytes[at] ?? 0) < 0x2e) return this.#refuse(FAULT.version);
    }
    return 0;
  }

  #target(bytes: Buffer, from: number, to: number, base: number): Fault | undefined {
    if (this.method === 'CONNECT') return FAULT.connect;
    if (bytes[from] === SLASH) return undefined;
    if (bytes[from] === 0x2a) {
      return to - from === 1 && this.method === 'OPTIONS' ? undefined : FAULT.target;
    }
    const scheme = /^https?:\/\//i.exec(
      bytes.toString('latin1', from, Math.min(to, from + 8)),
    )?.[0];
    if (scheme === undefined) return FAULT.target;
    const host = from + scheme.length;
    let at = host;
    while (at < to && AUTHORITY[bytes[at] ?? 0] !== 0) at += 1;
    if (at === host || (at < to && bytes[at] !== SLASH && bytes[at] !== 0x3f)) return FAULT.target;
    this.#hostFrom = host - base;
    this.#hostTo = at - base;
    return undefined;
  }

  /** What depends on start line and fields together. */
  #judge(): Fault | undefined {
    const { fields, framing } = this;
    const { host } = framing;
    if (host < 0) return this.minor === 0 && !this.isAbsolute ? undefined : FAULT.host;
    const from = fields.valueFrom(host);
    const to = fields.valueTo(host);
    if (!isAuthority(fields.bytes, from, to)) return FAULT.host;
    if (framing.upgrade && (framing.chunked || framing.length > 0)) return FAULT.upgrade;
    if (!this.isAbsolute) return undefined;
    const named = fields.bytes.toString(
      'latin1',
      fields.base + this.#hostFrom,
      fields.base + this.#hostTo,
    );
    return named.toLowerCase() === fields.value(host).toLowerCase() ? undefined : FAULT.authority;
  }

  #readPath(): string {
    const { bytes, base } = this.fields;
    const from = base + (this.isAbsolute ? this.#hostTo : this.#targetFrom);
    const path = bytes.toString('latin1', from, base + this.#targetTo);
    return path.startsWith('/') || path === '*' ? path : `/${path}`;
  }

  #readAuthority(): string {
    const { host } = this.framing;
    return host < 0 ? '' : this.fields.value(host);
  }

  #refuse(fault: Fault): number {
    this.fields.fault = fault;
    return -1;
  }

  get fault(): Fault | undefined {
    return this.fields.fault;
  }

  /** Whether the sender waits for an answer to `Expect` before it sends a body. */
  get expectsContinue(): boolean {
    return this.framing.expects && this.minor === 1;
  }

  /** The value of Upgrade, where Connection names it. */
  get upgrade(): string | undefined {
    if (!this.framing.upgrade) return undefined;
    const i = this.fields.indexOf(NAME.upgrade);
    return i < 0 ? undefined : this.fields.value(i);
  }
}

/** An empty host is allowed where the target has no authority either; we have no use for it. */
function isAuthority(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if (AUTHORITY[bytes[at] ?? 0] === 0) return false;
  return to > from;
}

/** The usual methods as constants, which costs no string. */
function methodAt(bytes: Buffer, from: number, to: number): string {
  const first = bytes[from];
  if (to - from === 3) {
    if (first === 0x47 && bytes[from + 1] === 0x45 && bytes[from + 2] === 0x54) return 'GET';
    if (first === 0x50 && bytes[from + 1] === 0x55 && bytes[from + 2] === 0x54) return 'PUT';
  }
  const second = bytes[from + 1];
  const rest = (bytes[from + 2] ?? 0) * 256 + (bytes[from + 3] ?? 0);
  if (to - from === 4 && first === 0x50 && second === 0x4f && rest === 0x5354) return 'POST';
  if (to - from === 4 && first === 0x48 && second === 0x45 && rest === 0x4144) return 'HEAD';
  return bytes.toString('latin1', from, to);
}
