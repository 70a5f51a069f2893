/**
 * Whether the workload at the far end of a tunnel is still where the tunnel leads, as the mesh has it.
 *
 * A pod that vanishes with its network closes nothing: its tunnels would stay until their PINGs have
 * had no answer. Only a peer that was once seen in the view, at that address and with the identity
 * that it proved, can leave it; one that the mesh never knew is none of our business. A pod that is
 * going away is in the view for as long as it runs. To have left is a suspicion and no more: whoever
 * lives in spite of it must keep its connections.
 */
import { identityOf } from '#common/identity.ts';
import type { Identity } from '#common/identity.ts';
import type { Applied, View } from '#common/mesh/view.ts';

export class PeerPresence {
  readonly #view: Pick<View, 'workload' | 'workloadAt'>;
  readonly #address: string;
  readonly #identity: Identity;
  /** Of the workload; '' before it was seen. */
  #uid = '';
  #hasLeft = false;

  constructor(
    view: Pick<View, 'workload' | 'workloadAt'>,
    peer: { readonly address: string; readonly identity: Identity },
  ) {
    this.#view = view;
    this.#address = peer.address;
    this.#identity = peer.identity;
    this.look();
  }

  /** Looks for a workload that our view may have learned of later than of its tunnel. */
  look(): void {
    if (this.#uid !== '' || this.#hasLeft) return;
    const found = this.#view.workloadAt(this.#address);
    if (found === undefined) return;
    const { trustDomain, namespace, serviceAccount } = found;
    const identity = identityOf(trustDomain, namespace, serviceAccount);
    if (identity === this.#identity) this.#uid = found.uid;
  }

  /** The world has changed; says once that the workload has left it, or its address. */
  leaves(applied: Pick<Applied, 'touched'>): boolean {
    if (this.#uid === '' || !applied.touched(this.#uid)) return false;
    if (this.#view.workload(this.#uid)?.addresses.includes(this.#address) === true) return false;
    this.#uid = '';
    this.#hasLeft = true;
    return true;
  }
}
