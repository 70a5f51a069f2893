/**
 * Whether a tunnel may carry new connections still, long after its handshake.
 *
 * TLS judges a certificate once, and a tunnel that is in use may live for weeks. So what was true then
 * is asked again every second: the peer's certificate has not expired, we have one ourselves, and no
 * root under which the tunnel was opened has been given up since. Whose trust has ended takes no new
 * streams; those that it carries go on.
 */
import type { TlsContext } from '#common/engine/tls-context.ts';
import type { PeerCertificate } from '#common/engine/tls-peer.ts';

export class TunnelTrust {
  readonly #notAfterMs: number;
  #context: Pick<TlsContext, 'roots'> | undefined;

  /** `context` is the one that the tunnel was opened with. */
  constructor(
    peer: Pick<PeerCertificate, 'notAfter'>,
    context: Pick<TlsContext, 'roots'> | undefined,
  ) {
    this.#notAfterMs = peer.notAfter;
    this.#context = context;
  }

  /** Those under which the tunnel was opened, PEM. */
  get roots(): readonly string[] {
    return this.#context?.roots ?? [];
  }

  /** `context` is the one with which a tunnel would be opened now. */
  holds(context: TlsContext | undefined, nowMs: number): boolean {
    if (context === undefined || nowMs >= this.#notAfterMs) return false;
    if (context === this.#context) return true;
    const { roots } = context;
    if (this.#context?.roots.every((root) => roots.includes(root)) !== true) return false;
    this.#context = context;
    return true;
  }
}
