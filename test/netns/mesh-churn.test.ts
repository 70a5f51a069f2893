/**
 * Pods that come, talk and go, a batch at a time: afterwards everything is as it was before.
 *
 * A thousand of them, or as many as `PLUMB_CHURN_PODS` says.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { test } from 'tap';
import { Mesh } from '../helpers/mesh.ts';
import { account, documents, namespace, nodes, pod } from '../helpers/mesh-yaml.ts';
import { needsRoot as skip } from '../helpers/netns.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { eventually } from '../helpers/program.ts';

const PODS = Number(process.env['PLUMB_CHURN_PODS'] ?? 1000);
const BATCH = 25;
/** Each thread keeps its own namespace at hand, and reads files now and then. */
const SLACK = 4;
/** The tunnels of a pod that vanished with its link end when its record does, not by their pings. */
const TUNNELS_GONE_MS = 30_000;
const MINUTE_MS = 60_000;

const base = documents(
  nodes(2),
  namespace('shop'),
  account('web'),
  account('cart'),
  pod('cart', { node: 2, account: 'cart' }),
);

interface Usage {
  readonly rows: number;
  readonly workloads: number;
  readonly descriptors: number;
  readonly namespaces: number;
  readonly probed: number;
  readonly rssMib: number;
}

const NONE: Usage = {
  rows: 0,
  workloads: 0,
  descriptors: 0,
  namespaces: 0,
  probed: 0,
  rssMib: 0,
};

/** What the agent of a node holds of its pods, inside and in the kernel. */
async function usage(mesh: Mesh, node: number): Promise<Usage> {
  const agent = mesh.agent(node);
  const rows = (await agent.ask<unknown[]>('/proof')).length;
  const workloads = (await agent.ask<unknown[]>('/workloads')).length;
  const links = readdirSync(`/proc/${agent.pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${agent.pid}/fd/${fd}`);
    } catch {
      return ''; // Closed meanwhile.
    }
  });
  const members = mesh.net.node(node).exec('ipset save').matchAll(/^add /gm);
  const status = readFileSync(`/proc/${agent.pid}/status`, 'utf8');
  return {
    rows,
    workloads,
    descriptors: links.length,
    namespaces: links.filter((link) => /^net:|\/netns\//.test(link)).length,
    probed: Array.from(members).length,
    rssMib: Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024),
  };
}

test(
  `${PODS} pods come, talk and go, and nothing is left of them`,
  { skip, timeout: 8 * MINUTE_MS },
  async (t) => {
    const mesh = await Mesh.start(t, 'meshchu', { yaml: base });
    const cart = mesh.pod('shop/cart');
    const app = await greeter(t, cart.fd, 8080);
    const both = async (): Promise<Usage[]> => Promise.all([1, 2].map((n) => usage(mesh, n)));
    const before = await both();
    for (let made = 0; made < PODS; made += BATCH) {
      const names = Array.from({ length: BATCH }, (_, i) => `web-${made + i}`);
      const webs = names.map((name, i) => pod(name, { node: 1 + (i % 2), account: 'web' }));
      await mesh.write(documents(base, ...webs));
      await mesh.proven(undefined, 2 * MINUTE_MS);
      await Promise.all(
        names.map(async (name, i) => {
          const { fd, addresses } = mesh.pod(`shop/${name}`);
          const seen = await greet(fd, cart.addresses[i % 2] ?? '', 8080);
          if (seen !== addresses[i % 2]) throw new Error(`${name} was seen as ${seen}`);
        }),
      );
      await mesh.write(base);
    }
    t.equal(app.clients.length, PODS, 'every pod was served');
    const after = await eventually(
      'all is as it was before',
      async () => {
        const now = await both();
        for (const [n, one] of now.entries()) {
          const old = before[n] ?? NONE;
          const isBack =
            (['rows', 'workloads', 'probed'] as const).every((key) => one[key] === old[key]) &&
            (['descriptors', 'namespaces'] as const).every((key) => one[key] <= old[key] + SLACK);
          if (!isBack) throw new Error(JSON.stringify({ before, now }));
        }
        return now;
      },
      TUNNELS_GONE_MS,
    );
    t.comment(`before ${JSON.stringify(before)}`);
    t.comment(`after ${JSON.stringify(after)}`);
    t.equal(mesh.wire.report().inClear, 0, 'no payload crossed a node boundary in clear');
  },
);
