/**
 * The demonstration: each claim of the product with its own evidence, on a mesh that runs.
 *
 * It succeeds only if every claim was observed. A claim that was not is shown with the reason, and the
 * others are still tried.
 */
import type { LocalMesh } from '../local-mesh.ts';
import type { Claim, Stage } from './claim.ts';
import { SHOP } from './claim.ts';
import { killed, metrics, replaced } from './claims-agent.ts';
import { denied, strict } from './claims-policy.ts';
import { captured, identities, serverFirst, unreadable, wireLines } from './claims-traffic.ts';
import { Guide } from './guide.ts';
import { WireWatch } from './wire.ts';

export interface TourOptions {
  readonly mesh: LocalMesh;
  readonly ending: AbortSignal;
  readonly print: (line: string) => void;
}

/** At the very end: the watcher has been on the wire all the time. */
const stillUnreadable: Claim = {
  title: 'in the whole tour nothing could be read between the nodes',
  show: async ({ wire }) => wireLines(wire),
};

const CLAIMS: readonly Claim[] = [
  captured,
  identities,
  unreadable,
  serverFirst,
  denied,
  strict,
  replaced,
  killed,
  metrics,
  stillUnreadable,
];

export async function tour({ mesh, ending, print }: TourOptions): Promise<boolean> {
  const ports = mesh.nodes.map(({ space }) => ({
    netns: mesh.world.hub.fd,
    interfaceName: space.port,
  }));
  const wire = new WireWatch(ports, [SHOP.secret, SHOP.postcard]);
  const stage: Stage = { guide: new Guide(mesh, ending), wire };
  const began = performance.now();
  let observed = 0;
  try {
    for (const claim of CLAIMS) {
      if (await observe(claim, stage, print)) observed += 1;
      if (ending.aborted) return false;
    }
  } finally {
    wire.stop();
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  print(`\n${observed} of ${CLAIMS.length} claims observed in ${seconds} s`);
  return observed === CLAIMS.length;
}

async function observe(
  claim: Claim,
  stage: Stage,
  print: (line: string) => void,
): Promise<boolean> {
  try {
    const evidence = await claim.show(stage);
    print(`\n[ok] ${claim.title}`);
    for (const line of evidence) print(`     ${line}`);
    return true;
  } catch (error) {
    print(`\n[NOT OBSERVED] ${claim.title}`);
    print(`     ${error instanceof Error ? error.message : String(error)}`);
    return false;
  }
}
