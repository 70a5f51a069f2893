/**
 * The controller's end of a WebSocket: sends at the pace of the peer, and notices that it is gone.
 *
 * `send` resolves when the message has been given to the kernel, so who waits for it never has more
 * than one message in memory.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import {
  CONTROLLER_MESSAGE_BYTES,
  PING_INTERVAL_MS,
  SILENCE_LIMIT_MS,
} from '#common/control/messages.ts';
import type { Wire } from './agent-connection.ts';
import type { Message } from './parts.ts';

export interface WireOwner {
  onText(text: string): void;
  onBinary(): void;
  onClosed(code: number, reason: string): void;
}

const CLOSE_TIMEOUT_MS = 2000;
/** Two of the longest messages. */
const MOST_BUFFERED_BYTES = 2 * CONTROLLER_MESSAGE_BYTES;
/** A close frame has room for 123 bytes. */
const LONGEST_REASON = 100;

export class AgentWire implements Wire {
  readonly #ws: WebSocket;
  readonly #tcp: Socket;
  readonly #silenceLimitMs: number;
  readonly #ping: NodeJS.Timeout;
  #heardAt = performance.now();
  #bytesRead = 0;

  constructor(
    ws: WebSocket,
    tcp: Socket,
    { pingIntervalMs, silenceLimitMs } = {
      pingIntervalMs: PING_INTERVAL_MS,
      silenceLimitMs: SILENCE_LIMIT_MS,
    },
  ) {
    this.#ws = ws;
    this.#tcp = tcp;
    this.#silenceLimitMs = silenceLimitMs;
    this.#ping = setInterval(() => this.#watch(), pingIntervalMs).unref();
    tcp.setNoDelay(true);
  }

  attach(owner: WireOwner): void {
    const ws = this.#ws;
    ws.on('message', (data, isBinary) => {
      if (isBinary || !Buffer.isBuffer(data)) owner.onBinary();
      else owner.onText(data.toString('utf8'));
    });
    // What went wrong is followed by 'close', which has one listener that tells.
    ws.on('error', () => ws.terminate());
    ws.once('close', (code, reason) => {
      clearInterval(this.#ping);
      owner.onClosed(code, reason.toString('utf8'));
    });
  }

  async send(message: Message): Promise<void> {
    // A peer that asks and asks, and never reads the answers.
    if (this.#ws.bufferedAmount > MOST_BUFFERED_BYTES) this.#ws.terminate();
    const last = message.length - 1;
    for (let i = 0; i < last; i += 1) {
      this.#ws.send(message[i] ?? '', { fin: false, binary: false }, ignore);
    }
    return new Promise((resolve, reject) => {
      const done = (error?: Error | null): void => (error ? reject(error) : resolve());
      this.#ws.send(message[last] ?? '', { fin: true, binary: false }, done);
    });
  }

  close(code: number, reason: string): void {
    this.#ws.close(code, reason.slice(0, LONGEST_REASON));
    setTimeout(() => this.#ws.terminate(), CLOSE_TIMEOUT_MS).unref();
  }

  #watch(): void {
    const now = performance.now();
    if (this.#tcp.bytesRead !== this.#bytesRead) this.#heardAt = now;
    this.#bytesRead = this.#tcp.bytesRead;
    if (now - this.#heardAt > this.#silenceLimitMs) this.#ws.terminate();
    else if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }
}

/** What fails in one piece fails in the last, which tells. */
function ignore(): void {}
