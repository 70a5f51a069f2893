/**
 * The controller of the scale benches, a process of its own: model, state, CA and push server as in
 * controller/controller.ts, with a made world in place of a source. Told what to do over IPC.
 *
 * Real agents connect to it. Beside the made world there are the two pods between which the load
 * runs. It may be ended and started anew in the same directory: the CA is the same, the epoch is not,
 * so agents that come back get a full snapshot.
 */
import { writeFileSync } from 'node:fs';
import { Model } from '../../../controller/model/model.ts';
import type { MeshObject } from '../../../controller/model/objects.ts';
import { MeshState } from '../../../controller/push/mesh-state.ts';
import { PushServer } from '../../../controller/push/push-server.ts';
import { TokenFile } from '../../../controller/push/tokens.ts';
import { openCa } from '../../helpers/ca.ts';
import { tokenOf } from '../../helpers/control-rig.ts';
import {
  authorization,
  gone,
  MESHED,
  namespace,
  node,
  peerAuthentication,
  pod,
  set,
} from '../../helpers/mesh-objects.ts';
import { silent } from '../../helpers/silent-log.ts';
import { flip, makeWorld, type WorldSize } from '../control/world.ts';
import { CLIENT_ADDRESS, NODE_A_ADDRESS, SERVER_ADDRESS } from '../world.ts';
import { CONTROL_PORT, NODES, type Answer, type Order } from './orders.ts';

const SPACE = 'bench';
const model = new Model();
const state = new MeshState({ trustDomain: 'cluster.local' });
let size: WorldSize = { workloads: 0, services: 0, nodes: 0 };
let policies: MeshObject[] = [];
let push: PushServer | undefined;

async function start(directory: string): Promise<void> {
  const ends = [
    pod('client', CLIENT_ADDRESS, { node: 'node-a', serviceAccount: 'client', meta: space() }),
    pod('server', SERVER_ADDRESS, { node: 'node-b', serviceAccount: 'server', meta: space() }),
    peerAuthentication('strict', 'STRICT', { meta: space() }),
  ];
  const nodes = NODES.map((name) => node(name, 'z'));
  state.apply(
    model.apply([...makeWorld(size), ...set(namespace(SPACE, MESHED), ...nodes, ...ends)]),
  );
  const tokens = NODES.map((name) => `${name} ${tokenOf(name)}\n`).join('');
  writeFileSync(`${directory}/tokens`, tokens, { mode: 0o600 });
  const ca = await openCa(`${directory}/ca`);
  writeFileSync(`${directory}/roots.pem`, ca.trust.roots.join(''));
  push = new PushServer({
    listen: [{ host: NODE_A_ADDRESS, port: CONTROL_PORT }],
    authenticate: new TokenFile(`${directory}/tokens`, silent).authenticate,
    ca,
    state,
    trustDomain: 'cluster.local',
    version: 'bench',
    onProof: () => {},
    log: silent,
  });
  await push.start();
}

const space = () => ({ namespace: SPACE });

/** All in the namespace of the load, so that each is a candidate; the first allows the client. */
function policy(i: number): MeshObject {
  const principals = [`cluster.local/ns/bench/sa/${i === 0 ? 'client' : `other-${i}`}`];
  return authorization(`allow-${i}`, {
    rules: [{ from: [{ principals }], to: undefined, when: undefined }],
    meta: space(),
  });
}

function setPolicies(count: number): void {
  const wanted = Array.from({ length: count }, (_, i) => policies[i] ?? policy(i));
  state.apply(
    model.apply([...set(...wanted.slice(policies.length)), ...policies.slice(count).map(gone)]),
  );
  policies = wanted;
}

process.on('message', (message: Order) => {
  const atNs = String(process.hrtime.bigint());
  const tell = (): void => {
    push?.wake();
    process.send?.({ version: state.version, atNs } satisfies Answer);
  };
  switch (message.order) {
    case 'start':
      ({ size } = message);
      void start(message.directory).then(tell);
      break;
    case 'policies':
      setPolicies(message.count);
      tell();
      break;
    case 'flip':
      state.apply(model.apply(flip(message.pod, size, message.ready)));
      tell();
  }
});
process.on('disconnect', () => process.exit(0));
