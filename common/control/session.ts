/**
 * One connection of an agent to the controller: hello, welcome, then messages until it ends.
 *
 * Nothing of a connection outlives it: an update that is half here is forgotten, and what still waits
 * for its handler is dropped, since the next connection goes on from what is in force.
 */
import { MeshError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { MeshUpdate } from '../mesh/update.ts';
import { Assembly } from './assembly.ts';
import {
  CLOSE_CODES,
  PROTOCOL_VERSIONS,
  type ControllerMessage,
  type EnrolledNamespace,
  type ResumePoint,
  type Trust,
  type Welcome,
} from './messages.ts';
import type { Outbox } from './outbox.ts';
import { decodeControllerMessage } from './schema.ts';
import { ControlSocket, type SocketOptions } from './socket.ts';

/** From the first SYN. */
const WELCOME_TIMEOUT_MS = 20_000;
/** Messages that wait for a slow handler before reading stops. */
const MOST_WAITING = 8;

/** What a connection needs of its client. */
export interface SessionClient {
  readonly url: string;
  readonly node: string;
  readonly instance: string;
  readonly version: string;
  readonly resume: () => ResumePoint | undefined;
  readonly onUpdate: (update: MeshUpdate, epoch: string) => void | Promise<void>;
  readonly onTrust: (trust: Trust) => void | Promise<void>;
  /** Which namespaces are enrolled now; a controller of protocol version 1 never says it. */
  readonly onNamespaces?: (namespaces: readonly EnrolledNamespace[]) => void | Promise<void>;
  readonly log: Logger;
  readonly timing?: Pick<SocketOptions, 'pingIntervalMs' | 'silenceLimitMs'>;
}

export interface SessionDeps {
  readonly token: string;
  readonly roots: readonly string[];
  readonly handle: (work: () => void | Promise<void>) => Promise<void>;
  readonly welcomed: (welcome: Welcome) => void;
  /** The connection has proven useful: the next failure is the first again. */
  readonly settled: () => void;
}

export class Session {
  readonly #client: SessionClient;
  readonly #deps: SessionDeps;
  readonly #outbox: Outbox;
  readonly #socket: ControlSocket;
  readonly #assembly = new Assembly();
  readonly #ended = Promise.withResolvers<MeshError>();
  readonly #late: NodeJS.Timeout;
  #welcome: Welcome | undefined;
  #waiting = 0;
  #over = false;

  constructor(client: SessionClient, outbox: Outbox, deps: SessionDeps) {
    this.#client = client;
    this.#deps = deps;
    this.#outbox = outbox;
    this.#socket = new ControlSocket(
      { url: client.url, token: deps.token, roots: deps.roots, ...client.timing },
      {
        onOpen: () => this.#greet(),
        onText: (message) => this.#receive(message),
        onClosed: (reason) => this.#close(reason),
      },
    );
    this.#late = setTimeout(() => {
      const message = 'Cannot use the control connection: no welcome in time';
      this.#fail(new MeshError('CONTROLLER_UNREACHABLE', message), CLOSE_CODES.helloTimeout);
    }, WELCOME_TIMEOUT_MS).unref();
  }

  async ended(signal: AbortSignal): Promise<MeshError> {
    const stop = (): void => this.#socket.stop(signal.reason, 1001);
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const reason = await this.#ended.promise;
    signal.removeEventListener('abort', stop);
    return reason;
  }

  #greet(): void {
    const { node, instance, version, resume } = this.#client;
    this.#socket.send({
      type: 'hello',
      protocols: PROTOCOL_VERSIONS,
      node,
      instance,
      version,
      resume: resume() ?? null,
    });
  }

  #receive(message: string): void {
    if (this.#over) return;
    try {
      this.#take(decodeControllerMessage(message));
    } catch (error) {
      if (!(error instanceof MeshError)) throw error;
      this.#fail(error, CLOSE_CODES.messageInvalid);
    }
  }

  #take(message: ControllerMessage): void {
    if (this.#welcome === undefined) {
      if (message.type !== 'welcome') throw outOfPlace(message.type);
      this.#welcome = message;
      clearTimeout(this.#late);
      this.#deps.welcomed(message);
      this.#client.log.info('connected to the controller', {
        epoch: message.epoch,
        resumed: message.resumed,
        controllerVersion: message.version,
      });
      this.#outbox.attach((report) => this.#socket.send(report));
      return;
    }
    switch (message.type) {
      case 'welcome':
        throw outOfPlace('welcome');
      case 'trust': {
        const { generation, roots, authority } = message;
        this.#enqueue(
          async () => this.#client.onTrust({ generation, roots, authority }),
          () => this.#outbox.trustApplied(generation),
        );
        break;
      }
      case 'namespaces':
        this.#enqueue(
          async () => this.#client.onNamespaces?.(message.namespaces),
          () => {},
        );
        break;
      case 'update': {
        const { epoch } = this.#welcome;
        const update = this.#assembly.add(message);
        if (update === undefined) break;
        this.#enqueue(
          async () => this.#client.onUpdate(update, epoch),
          () => {
            this.#deps.settled();
            this.#socket.send({ type: 'applied', version: update.version });
          },
        );
        break;
      }
      case 'certificate':
      case 'certificate-refused':
        this.#outbox.answered(message);
        break;
    }
  }

  /** Runs `work` in its turn and `done` after it, unless the connection has ended meanwhile. */
  #enqueue(work: () => Promise<void>, done: () => void): void {
    this.#waiting += 1;
    if (this.#waiting === MOST_WAITING) this.#socket.pause();
    const finish = async (): Promise<void> => {
      if (this.#over) return;
      await work();
      done();
    };
    void this.#settle(this.#deps.handle(finish));
  }

  async #settle(handled: Promise<void>): Promise<void> {
    try {
      await handled;
      this.#waiting -= 1;
      if (this.#waiting === MOST_WAITING - 1) this.#socket.resume();
    } catch (cause) {
      const message = 'Cannot apply what the controller sent';
      this.#fail(new MeshError('MESSAGE_INVALID', message, { cause }), CLOSE_CODES.messageInvalid);
    }
  }

  #fail(reason: MeshError, code: number): void {
    this.#socket.stop(reason, code);
    this.#close(reason);
  }

  #close(reason: MeshError): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#late);
    this.#outbox.detach();
    this.#ended.resolve(reason);
  }
}

function outOfPlace(type: string): MeshError {
  return new MeshError('MESSAGE_INVALID', `Cannot take a message "${type}" at this point`);
}
