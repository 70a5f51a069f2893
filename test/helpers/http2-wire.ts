/**
 * HTTP/2 without a network: frames made by hand, and a session whose outlet is read as frames.
 *
 * The builders share nothing with the code under test but the names of numbers.
 */
import type { MeshError } from '../../common/errors.ts';
import type { ConnectRequest, InvalidRequest } from '../../common/hbone/headers.ts';
import type { Outlet } from '../../common/hbone/outlet.ts';
import { HboneSession, type SessionLimits, type SessionOwner } from '../../common/hbone/session.ts';
import type { Role } from '../../common/hbone/stream-table.ts';
import type { Stream } from '../../common/hbone/stream.ts';
import { Recorder } from './http2-streams.ts';

export const PREFACE_TEXT = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer | readonly number[] = [],
): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([id >> 8, id & 255]), u32(value)]);
}

/** A literal that nobody indexes, both parts plain and shorter than 127 bytes. */
export function literal(name: string, value: string): Buffer {
  return Buffer.from(
    `\0${String.fromCharCode(name.length)}${name}${String.fromCharCode(value.length)}${value}`,
    'latin1',
  );
}

export function connectBlock(authority = '10.0.0.7:80', ...more: readonly Buffer[]): Buffer {
  return Buffer.concat([literal(':method', 'CONNECT'), literal(':authority', authority), ...more]);
}

export function connectFrame(stream: number): Buffer {
  return frame(1, 4, stream, connectBlock());
}

/** Reads whole frames. */
export function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    frames.push({
      type: bytes[at + 3] ?? 0,
      flags: bytes[at + 4] ?? 0,
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return frames;
}

export class MemoryOutlet implements Outlet {
  bytes = Buffer.allocUnsafeSlow(1 << 20);
  blocked = false;
  #filled = 0;

  reserve(length: number): number {
    if (this.#filled + length > this.bytes.length) throw new RangeError('Cannot stage so much');
    return this.#filled;
  }

  commit(length: number): void {
    this.#filled += length;
  }

  /** What has been written since the last time. */
  take(): Buffer {
    const taken = Buffer.from(this.bytes.subarray(0, this.#filled));
    this.#filled = 0;
    return taken;
  }

  /** Forgets what has been written. */
  rewind(): void {
    this.#filled = 0;
  }

  frames(): Frame[] {
    return framesOf(this.take());
  }
}

export interface Bench {
  readonly session: HboneSession;
  readonly outlet: MemoryOutlet;
  readonly errors: MeshError[];
  readonly heard: string[];
  readonly requests: { stream: Stream; request: ConnectRequest | InvalidRequest }[];
  readonly clock: { now: number };
  readonly feed: (...frames: readonly Buffer[]) => void;
  /** The HTTP/2 name of the error that ended the session. */
  readonly fault: () => string | undefined;
}

export interface BenchOptions {
  readonly limits?: Partial<SessionLimits>;
  readonly onRequest?: (stream: Stream, request: ConnectRequest | InvalidRequest) => void;
  /** Settings of the peer; none by default. */
  readonly settings?: Buffer;
  /** A stage to use again, instead of a new one. */
  readonly outlet?: MemoryOutlet;
  readonly carries?: 'tunnels' | 'requests';
  readonly onMessage?: SessionOwner['onMessage'];
  /** Leave out what opens a connection. */
  readonly silent?: boolean;
}

/** A session under a clock of ours, past its opening. */
export function bench(role: Role, options: BenchOptions = {}): Bench {
  const outlet = options.outlet ?? new MemoryOutlet();
  const errors: MeshError[] = [];
  const heard: string[] = [];
  const requests: Bench['requests'] = [];
  const clock = { now: 1000 };
  const session = new HboneSession({
    role,
    outlet,
    now: () => clock.now,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.carries === undefined ? {} : { carries: options.carries }),
    owner: {
      onReady: () => heard.push('ready'),
      onRequest: (stream, request) => {
        requests.push({ stream, request });
        options.onRequest?.(stream, request);
      },
      onMessage: (stream, message, ends) => options.onMessage?.(stream, message, ends),
      onGoAway: (code) => heard.push(`goaway ${code}`),
      onIdle: () => heard.push('idle'),
      onError: (error) => {
        heard.push('error');
        errors.push(error);
      },
    },
  });
  const feed = (...frames: readonly Buffer[]): void => {
    const bytes = Buffer.concat(frames);
    session.receive(bytes, 0, bytes.length);
  };
  const fault = (): string | undefined => {
    const name = errors[0]?.details['http2Error'];
    return name === undefined ? undefined : String(name);
  };
  session.start();
  if (options.silent !== true) {
    if (role === 'server') feed(Buffer.from(PREFACE_TEXT));
    feed(frame(4, 0, 0, options.settings ?? Buffer.alloc(0)), frame(4, 1, 0));
    outlet.take();
  }
  return { session, outlet, errors, heard, requests, clock, feed, fault };
}

/** An answer 200 on stream 1. */
export const OK = frame(1, 4, 1, [0x88]);

/** A client with one stream that has been answered with 200. */
export function tunnelled(settings = Buffer.alloc(0)): {
  client: Bench;
  stream: Stream;
  user: Recorder;
} {
  const client = bench('client', { settings });
  const stream = client.session.open({ authority: '10.0.0.7:80' });
  const user = new Recorder(stream, client.outlet);
  client.feed(OK);
  client.outlet.take();
  return { client, stream, user };
}

export function send(client: Bench, stream: Stream, text: string): void {
  const at = stream.beginData(text.length);
  client.outlet.bytes.write(text, at);
  stream.endData(text.length, false);
}
