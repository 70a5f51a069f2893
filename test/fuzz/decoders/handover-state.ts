/**
 * Units of a hand-over, as an agent's successor reads them.
 *
 * Damaged ones are `HANDOVER_FAILED` and no message quotes a secret; what is taken can be gone on with:
 * a session restored from it is the session that it told of.
 */
import { HboneSession } from '../../../common/hbone/session.ts';
import { decodeUnit } from '../../../node-agent/data/handover-decode.ts';
import type { Unit } from '../../../node-agent/data/handover-state.ts';
import { BYTES, SECRET, UNITS } from '../../helpers/handover-units.ts';
import { bench } from '../../helpers/http2-wire.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateJson } from '../mutate.ts';

const MOST_DESCRIPTORS = 3;
const QUOTE = SECRET.slice(0, 12);

/** The same for all mutants of a seed: what is beside the text is not damaged. */
function beside(input: Buffer): { descriptors: number; bytes: number } {
  const descriptors = Array.from({ length: MOST_DESCRIPTORS }, (_, i) => i).filter((fd) =>
    new RegExp(`"fd":${fd}[,}]`).test(input.toString('latin1')),
  ).length;
  return { descriptors, bytes: BYTES };
}

function run(input: Buffer): string {
  return outcomeOf(['HANDOVER_FAILED'], () => {
    let unit: Unit;
    try {
      unit = decodeUnit(input.toString('utf8'), beside(input));
    } catch (error) {
      must(!String(error).includes(QUOTE), 'a secret is quoted');
      throw error;
    }
    const { tunnel } = unit;
    if (tunnel === null) return 'read';
    const { outlet } = bench(tunnel.session.role);
    const session = new HboneSession({
      role: tunnel.session.role,
      outlet,
      owner: {
        onReady: () => undefined,
        onRequest: () => undefined,
        onGoAway: () => undefined,
        onIdle: () => undefined,
        onError: () => undefined,
      },
      now: () => 0,
    });
    session.restore(tunnel.session);
    must(session.streams === tunnel.session.table.streams.length, 'streams are missing');
    session.goAway();
    return 'read';
  });
}

export const handoverState: Decoder = {
  name: 'handover-state',
  seeds: UNITS.map(([unit]) => Buffer.from(JSON.stringify(unit))),
  mutate: mutateJson,
  run,
  // Every text of a unit is looked at, letter by letter, and 64 KB of it are thousands of fields.
  budgetMs: 10,
};
