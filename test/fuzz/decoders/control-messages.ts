/**
 * The two doors of the control protocol: messages of an agent, and of a controller with what an agent
 * makes of its updates (assembly, packing, the view). An input is one message a line.
 */
import { Assembly } from '../../../common/control/assembly.ts';
import type { AgentMessage, ControllerMessage } from '../../../common/control/messages.ts';
import { decodeAgentMessage, decodeControllerMessage } from '../../../common/control/schema.ts';
import { packUpdate } from '../../../common/mesh/pack.ts';
import { View } from '../../../common/mesh/view.ts';
import { makeRequest } from '../../../common/tls/csr.ts';
import { identityOf } from '../../../common/identity.ts';
import { localPod, policy, ruleOf, service, snapshot, workload } from '../../helpers/mesh-build.ts';
import { must, outcomeOf, type Decoder } from '../decoder.ts';
import { mutateJson } from '../mutate.ts';
import type { Random } from '../random.ts';

const identity = identityOf('cluster.local', 'shop', 'cart');
const HASH = 'a1'.repeat(32);

const agent: readonly AgentMessage[] = [
  { type: 'hello', protocols: [1], node: 'a', instance: 'x-1', version: '0.1', resume: null },
  {
    type: 'hello',
    protocols: [1, 2],
    node: 'a',
    instance: 'x',
    version: '1',
    resume: { epoch: 'e', version: 3 },
  },
  { type: 'applied', version: 7 },
  { type: 'certificate-request', id: 1, identity, csr: makeRequest(identity).csrPem },
  { type: 'trust-applied', generation: 2 },
  { type: 'leaves', leaves: [{ identity, authority: HASH, notAfterMs: 1e12 }] },
  {
    type: 'proof',
    rows: [
      {
        podUid: 'u',
        namespace: 'shop',
        name: 'cart',
        direction: 'inbound',
        family: 4,
        outcome: 'captured',
        reason: '',
        atMs: 1e12,
      },
    ],
  },
  {
    type: 'status',
    status: {
      ready: true,
      waitingFor: ['x'],
      startedAtMs: 1,
      podsLabelled: 1,
      podsProven: 1,
      connections: 9,
    },
  },
];

const cart = workload('cart', { addresses: ['10.0.0.7', 'fd00::7'] });
const update = {
  type: 'update',
  part: 0,
  last: true,
  ...snapshot({
    workloads: [cart, workload('web', { memberships: [{ service: 'shop/cart', ports: [] }] })],
    services: [service('cart', { addresses: ['10.32.0.1'] })],
    policies: [policy('p', ruleOf({ sourceIps: ['10.0.0.0/8'], principals: ['a/*'] }))],
    pods: [localPod(cart)],
  }),
} satisfies ControllerMessage;
const rest = { ...update, workloads: [], services: [], policies: [], pods: [], part: 1 };

const controller: readonly (readonly ControllerMessage[])[] = [
  [
    {
      type: 'welcome',
      protocol: 1,
      epoch: 'e-1',
      trustDomain: 'cluster.local',
      version: '1',
      resumed: false,
    },
  ],
  [{ type: 'trust', generation: 1, roots: ['-----BEGIN CERTIFICATE-----\n'], authority: HASH }],
  [update],
  [{ ...update, last: false }, rest],
  [
    update,
    {
      ...rest,
      part: 0,
      version: 2,
      snapshot: false,
      removed: { ...rest.removed, workloads: [cart.uid] },
    },
  ],
  [{ type: 'certificate', id: 1, chain: 'x\n', authority: HASH }],
  [{ type: 'certificate-refused', id: 1, code: 'IDENTITY_REFUSED', message: 'no' }],
];

function mutate(random: Random, from: Buffer, other: Buffer): Buffer {
  const lines = from.toString('utf8').split('\n');
  const at = random(lines.length);
  const damaged = mutateJson(random, Buffer.from(lines[at] ?? ''), other).toString('utf8');
  if (random(8) === 0) lines.splice(at, random(2), damaged);
  else lines[at] = damaged;
  return Buffer.from(lines.slice(0, 8).join('\n'));
}

function noPoison(): void {
  must(!('a' in {}) && !('polluted' in {}), 'a prototype was changed');
}

const deep = `{"type":"hello","protocols":${'['.repeat(32_000)}${']'.repeat(32_000)}}`;

export const agentMessages: Decoder = {
  name: 'agent-messages',
  seeds: agent.map((message) => Buffer.from(JSON.stringify(message))),
  mutate,
  run: (input) =>
    outcomeOf(['MESSAGE_INVALID'], () => {
      for (const line of input.toString('utf8').split('\n')) decodeAgentMessage(line);
      noPoison();
      return 'read';
    }),
  costly: {
    'depth without end': Buffer.from(deep),
    'quotes and backslashes': Buffer.from(`{"type":"${'\\\\"'.repeat(21_000)}`),
    'one string of backslashes': Buffer.from(`{"type":"${'\\'.repeat(65_000)}"}`),
    'many keys': Buffer.from(`{${Array.from({ length: 6000 }, (_, i) => `"k${i}":1`).join(',')}}`),
  },
};

export const controllerMessages: Decoder = {
  name: 'controller-messages',
  seeds: controller.map((messages) =>
    Buffer.from(messages.map((m) => JSON.stringify(m)).join('\n')),
  ),
  mutate,
  run: (input) =>
    outcomeOf(['MESSAGE_INVALID', 'OBJECT_INVALID'], () => {
      const assembly = new Assembly();
      const view = new View();
      for (const line of input.toString('utf8').split('\n')) {
        const message = decodeControllerMessage(line);
        const whole = message.type === 'update' ? assembly.add(message) : undefined;
        if (whole === undefined) continue;
        view.apply(packUpdate(whole));
        must(view.version === whole.version, 'it is not at the version it applied');
      }
      noPoison();
      return 'read';
    }),
  costly: {
    'depth without end': Buffer.from(deep),
    'many addresses': Buffer.from(
      JSON.stringify({
        ...update,
        workloads: Array.from({ length: 100 }, (_, i) =>
          workload(`w${i}`, { addresses: [`10.0.1.${i}`] }),
        ),
      }),
    ),
  },
  // The update is packed and put in force as well, 100 workloads and their columns at a time.
  budgetMs: 4,
};
