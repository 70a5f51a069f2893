/**
 * The TLS settings of one identity on one worker, for connections in both directions.
 *
 * Certificates and roots do not change inside a context: a rotation makes a new one, and the old
 * one is disposed of while its handshakes end in peace.
 */
import { SslContext } from '../sys/ssl-context.ts';

export interface Credentials {
  /** The leaf first, then intermediates. */
  readonly chainPem: string;
  readonly keyPem: string;
  readonly rootsPem: readonly string[];
}

export interface TlsContext {
  readonly client: SslContext;
  readonly server: SslContext;
  /** PEM; what peers are verified against. */
  readonly roots: readonly string[];
  /** No new connection may use it from here on; those that exist go on. */
  dispose(): void;
}

/** Throws `CERTIFICATE_INVALID` when the credentials cannot be used. */
export function createTlsContext(credentials: Credentials): TlsContext {
  const client = new SslContext({ ...credentials, role: 'client' });
  const server = new SslContext({ ...credentials, role: 'server' });
  return {
    client,
    server,
    roots: credentials.rootsPem,
    dispose: () => {
      client.dispose();
      server.dispose();
    },
  };
}
