/**
 * The certificates of this node, wired: asked of the controller, kept on the memory file system, put
 * in force in every data worker before anybody hears of them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ControlClient } from '#common/control/client.ts';
import type { Logger } from '#common/log.ts';
import type { DataPlane } from './data/data-plane.ts';
import { CertificateStore } from './identity/certificate-store.ts';
import { issueCredentials } from './identity/issue.ts';
import { KeyFiles } from './identity/key-files.ts';
import type { TrustStore } from './identity/trust-store.ts';

export interface NodeCertificatesDeps {
  readonly runDir: string;
  readonly log: Logger;
  readonly trust: TrustStore;
  readonly dataPlane: DataPlane;
  /** Asked when it is needed: the client is made after this. */
  readonly control: () => ControlClient;
}

export function nodeCertificates(deps: NodeCertificatesDeps): CertificateStore {
  const { runDir, log, trust, dataPlane, control } = deps;
  const roots = (): readonly string[] => trust.roots;
  const request: ControlClient['requestCertificate'] = async (...ask) =>
    control().requestCertificate(...ask);
  return new CertificateStore({
    issue: async (identity, signal) =>
      issueCredentials({ request, roots, now: Date.now }, identity, signal),
    apply: async ({ identity, chainPem, keyPem }, rootsPem) => {
      dataPlane.setCredentials(identity, { chainPem, keyPem, rootsPem });
      await dataPlane.settled();
    },
    discard: (identity) => dataPlane.removeCredentials(identity),
    onLeaves: (leaves) => control().reportLeaves(leaves),
    keys: new KeyFiles(`${runDir}/keys`, log),
    roots,
    log,
    now: Date.now,
    sleep: async (ms, signal) => delay(ms, undefined, { signal, ref: false }).catch(() => {}),
    random: Math.random,
  });
}
