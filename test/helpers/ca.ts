/** A real CA in a directory, for tests: it settles at once, and looks whenever it is asked to. */
import { CertificateAuthority, type CaOptions } from '../../controller/ca/certificate-authority.ts';
import { FileCaStore } from '../../controller/ca/file-store.ts';
import { silent } from './silent-log.ts';

export async function openCa(
  directory: string,
  over: Partial<CaOptions> = {},
): Promise<CertificateAuthority> {
  const ca = new CertificateAuthority({
    store: new FileCaStore(directory),
    trustDomain: 'cluster.local',
    log: silent,
    settleMs: 0,
    followMs: 0,
    ...over,
  });
  await ca.start();
  return ca;
}
