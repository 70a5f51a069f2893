/**
 * The controller's side of the bench, a process of its own: model, state, CA and push server, as in
 * controller/controller.ts, with a made world in place of a source. Told what to do over IPC.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Model } from '../../../controller/model/model.ts';
import { MeshState } from '../../../controller/push/mesh-state.ts';
import { PushServer } from '../../../controller/push/push-server.ts';
import { TokenFile } from '../../../controller/push/tokens.ts';
import { openCa } from '../../helpers/ca.ts';
import { tokenOf } from '../../helpers/control-rig.ts';
import { silent } from '../../helpers/silent-log.ts';
import { flip, makeWorld, nodeName, type WorldSize } from './world.ts';

/** What the bench tells this process. */
export type Order =
  | { readonly order: 'start'; readonly size: WorldSize }
  | { readonly order: 'flip'; readonly pod: number; readonly ready: boolean }
  | { readonly order: 'usage' };

/** What this process answers. */
export type Answer =
  | {
      readonly answer: 'started';
      readonly port: number;
      readonly roots: readonly string[];
      readonly buildMs: number;
    }
  | {
      readonly answer: 'flipped';
      readonly version: number;
      readonly atNs: string;
      readonly applyMs: number;
    }
  | {
      readonly answer: 'usage';
      readonly rss: number;
      readonly peakRss: number;
      readonly cpuMs: number;
    };

const directory = mkdtempSync(`${tmpdir()}/plumbline-bench-`);
process.on('exit', () => rmSync(directory, { recursive: true }));

const model = new Model();
const state = new MeshState({ trustDomain: 'cluster.local' });
const tell = (answer: Answer): void => void process.send?.(answer);
let size: WorldSize = { workloads: 0, services: 0, nodes: 0 };
let push: PushServer | undefined;

async function start(): Promise<void> {
  const began = performance.now();
  state.apply(model.apply(makeWorld(size)));
  const buildMs = performance.now() - began;
  const tokens = Array.from({ length: size.nodes }, (_, i) => nodeName(i));
  writeFileSync(
    `${directory}/tokens`,
    tokens.map((node) => `${node} ${tokenOf(node)}\n`).join(''),
    { mode: 0o600 },
  );
  const ca = await openCa(`${directory}/ca`);
  push = new PushServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    authenticate: new TokenFile(`${directory}/tokens`, silent).authenticate,
    ca,
    state,
    trustDomain: 'cluster.local',
    version: 'bench',
    onProof: () => {},
    log: silent,
  });
  await push.start();
  tell({ answer: 'started', port: push.addresses[0]?.port ?? 0, roots: ca.trust.roots, buildMs });
}

process.on('message', (message: Order) => {
  switch (message.order) {
    case 'start':
      size = message.size;
      void start();
      break;
    case 'flip': {
      const atNs = process.hrtime.bigint();
      state.apply(model.apply(flip(message.pod, size, message.ready)));
      push?.wake();
      const applyMs = Number(process.hrtime.bigint() - atNs) / 1e6;
      tell({ answer: 'flipped', version: state.version, atNs: String(atNs), applyMs });
      break;
    }
    case 'usage': {
      const { user, system } = process.cpuUsage();
      const peakRss = process.resourceUsage().maxRSS * 1024;
      tell({
        answer: 'usage',
        rss: process.memoryUsage.rss(),
        peakRss,
        cpuMs: (user + system) / 1000,
      });
    }
  }
});
process.on('disconnect', () => process.exit(0));
