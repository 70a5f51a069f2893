/**
 * One WebSocket of an agent to the controller, from TLS handshake to close.
 *
 * The controller is believed only with a certificate under the given roots that names it as the
 * controller (`isController`): a workload's certificate under the same roots is refused, before the
 * token is sent. A peer from which nothing at all came for 25 s is gone, whatever TCP says.
 */
import { connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { MeshError, type ErrorCode } from '../errors.ts';
import { readCertificate } from '../tls/certificate.ts';
import { isController } from '../tls/trust.ts';
import {
  AGENT_PATH,
  CLOSE_CODES,
  CONTROLLER_MESSAGE_BYTES,
  PING_INTERVAL_MS,
  SILENCE_LIMIT_MS,
  SUBPROTOCOL,
  type AgentMessage,
} from './messages.ts';

/** For TCP and TLS together, and again for the upgrade. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

export interface SocketOptions {
  /** `wss://host:port`. */
  readonly url: string;
  readonly token: string;
  readonly roots: readonly string[];
  /** Shorter in tests. */
  readonly pingIntervalMs?: number;
  readonly silenceLimitMs?: number;
}

export interface SocketOwner {
  onOpen(): void;
  onText(message: string): void;
  /** Exactly once, also when it never opened. */
  onClosed(reason: MeshError): void;
}

export class ControlSocket {
  readonly #owner: SocketOwner;
  readonly #options: SocketOptions;
  readonly #tls: TLSSocket;
  readonly #late: NodeJS.Timeout;
  #ws: WebSocket | undefined;
  #ping: NodeJS.Timeout | undefined;
  #heardAt = performance.now();
  #bytesRead = 0;
  #failure: MeshError | undefined;
  #closed = false;

  constructor(options: SocketOptions, owner: SocketOwner) {
    this.#owner = owner;
    this.#options = options;
    const { hostname, port } = new URL(options.url);
    this.#tls = connect({
      host: hostname.replaceAll(/^\[|\]$/g, ''),
      port: Number(port === '' ? 443 : port),
      ca: [...options.roots],
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
      checkServerIdentity: (_host, { raw }) => refuseOther(raw),
    });
    this.#late = setTimeout(
      () => this.#fail(this.#unreachable('no TLS handshake within 10 s')),
      HANDSHAKE_TIMEOUT_MS,
    ).unref();
    this.#tls.once('secureConnect', () => this.#upgrade());
    this.#tls.on('error', (cause) => this.#fail(this.#unreachable(cause.message, cause)));
    this.#tls.once('close', () => {
      // A WebSocket tells of its end itself, a moment later, and with the reason the controller gave.
      if (this.#ws === undefined) this.#ended(this.#unreachable('the connection ended'));
    });
  }

  /** Sends a message; one that cannot be sent any more is dropped, since `onClosed` has told. */
  send(message: AgentMessage): void {
    if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  /** Stops reading, so that TCP holds the controller back, until `resume`. */
  pause(): void {
    this.#ws?.pause();
  }

  resume(): void {
    this.#ws?.resume();
    this.#heardAt = performance.now();
  }

  /** Closes politely; what the peer does not answer is cut. */
  stop(reason: MeshError, code = 1000): void {
    this.#failure ??= reason;
    if (this.#ws?.readyState === WebSocket.OPEN) {
      this.#ws.close(code, reason.message.slice(0, LONGEST_REASON));
    } else this.#fail(reason);
  }

  /** TLS stands and the peer is the controller: only now is the token sent. */
  #upgrade(): void {
    clearTimeout(this.#late);
    const ws = new WebSocket(new URL(AGENT_PATH, this.#options.url), [SUBPROTOCOL], {
      headers: { authorization: `Bearer ${this.#options.token}` },
      createConnection: () => this.#tls,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: CONTROLLER_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    this.#ws = ws;
    ws.on('open', () => this.#owner.onOpen());
    ws.on('message', (data, isBinary) => {
      if (isBinary || !Buffer.isBuffer(data)) {
        const found = new MeshError('MESSAGE_INVALID', 'Cannot read a binary message');
        this.stop(found, CLOSE_CODES.messageInvalid);
      } else this.#owner.onText(data.toString('utf8'));
    });
    ws.on('unexpected-response', (_request, { statusCode }) => {
      const code = statusCode === 401 ? 'NOT_AUTHENTICATED' : 'CONTROLLER_UNREACHABLE';
      this.#fail(this.#unreachable(`it answered ${statusCode}`, undefined, code));
    });
    ws.on('error', (cause) => this.#fail(this.#unreachable(cause.message, cause)));
    ws.on('close', (code, reason) => {
      const why = reason.length > 0 ? `${code} ${reason.toString('utf8')}` : String(code);
      this.#ended(this.#unreachable(`it closed: ${why}`, undefined, codeOfClose(code)));
    });
    this.#ping = setInterval(
      () => this.#watch(),
      this.#options.pingIntervalMs ?? PING_INTERVAL_MS,
    ).unref();
  }

  #watch(): void {
    const now = performance.now();
    if (this.#tls.bytesRead !== this.#bytesRead || this.#ws?.isPaused) this.#heardAt = now;
    this.#bytesRead = this.#tls.bytesRead;
    const silentMs = now - this.#heardAt;
    if (silentMs > (this.#options.silenceLimitMs ?? SILENCE_LIMIT_MS)) {
      this.#fail(this.#unreachable(`nothing came for ${Math.round(silentMs / 1000)} s`));
    } else if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.ping();
  }

  #unreachable(
    found: string,
    cause?: unknown,
    code: ErrorCode = 'CONTROLLER_UNREACHABLE',
  ): MeshError {
    const message = `Cannot reach the controller at "${this.#options.url}": ${found}`;
    return new MeshError(code, message, { cause });
  }

  /** Cuts the connection. */
  #fail(reason: MeshError): void {
    this.#failure ??= reason;
    this.#tls.destroy();
    this.#ended(reason);
  }

  #ended(reason: MeshError): void {
    clearTimeout(this.#late);
    clearInterval(this.#ping);
    if (this.#closed) return;
    this.#closed = true;
    this.#owner.onClosed(this.#failure ?? reason);
  }
}

function codeOfClose(code: number): ErrorCode {
  if (code === CLOSE_CODES.versionUnsupported) return 'VERSION_UNSUPPORTED';
  return code === CLOSE_CODES.notAllowed ? 'NOT_AUTHENTICATED' : 'CONTROLLER_UNREACHABLE';
}

/** A close frame has room for 123 bytes. */
const LONGEST_REASON = 100;

function refuseOther(raw: Buffer): Error | undefined {
  if (isController(readCertificate(raw))) return undefined;
  return new MeshError('IDENTITY_MISMATCH', 'Cannot trust the peer: it is not the controller');
}
