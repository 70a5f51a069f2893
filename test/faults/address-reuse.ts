/** R25: a pod is deleted and its address given at once to a pod of another identity. */
import { account, documents, pod, policy } from '../helpers/mesh-yaml.ts';
import { greet, greeter } from '../helpers/pod-apps.ts';
import { ms, msUntil } from './measure.ts';
import { onBench } from './world.ts';

/** Outside what the bench's own pods get. */
const HOST = '77';
const PORT = 7070;

export const scenario = onBench({
  name: 'address-reuse',
  title: 'R25: an address gets another owner at once; nobody is served as the old one',
  run: async (world, { quick, family }, undo) => {
    const { mesh } = world;
    const families = family === undefined ? {} : { 'test/families': family };
    const b1 = mesh.pod('shop/b1');
    await greeter(undo, b1.fd, PORT);
    const owner = (name: string): string =>
      documents(
        world.yaml,
        account('old'),
        account('new'),
        policy('only-old', {
          selector: { matchLabels: { app: 'b1' } },
          action: 'DENY',
          rules: [
            {
              from: [{ source: { notPrincipals: ['cluster.local/ns/shop/sa/old'] } }],
              to: [{ operation: { ports: [String(PORT)] } }],
            },
          ],
        }),
        pod(name, { node: 1, account: name, labels: { 'test/host': HOST, ...families } }),
      );
    const address = b1.addresses[0] ?? '';
    let served = 0;
    let refused = 0;
    let reached = 0;
    const took: number[] = [];
    for (let i = 0; i < (quick ? 2 : 20); i += 1) {
      await mesh.write(owner('old'));
      await mesh.proven();
      const old = mesh.pod('shop/old');
      const isServed = async (): Promise<boolean> =>
        (await greet(old.fd, address, PORT)) === old.addresses[0];
      if ((await msUntil(isServed, 5000)) === Infinity) throw new Error('the old one is refused');
      // From the new one's first moment on, as fast as it can.
      await mesh.write(owner('new'));
      const fresh = mesh.pod('shop/new');
      const isProven = async (): Promise<boolean> =>
        (await mesh.proof(1)).some(
          ({ name, capture }) => name === 'new' && capture?.proven === true,
        );
      const from = performance.now();
      for (let isOver = false; !isOver;) {
        isOver = await isProven();
        await greet(fresh.fd, address, PORT).then(
          () => (served += 1),
          () => (refused += 1),
        );
      }
      took.push(performance.now() - from);
      await greeter(undo, fresh.fd, PORT);
      const back = fresh.addresses[0] ?? '';
      await msUntil(async () => (await greet(b1.fd, back, PORT)) === b1.addresses[0], 5000);
      reached += 1;
    }
    return {
      figures: {
        'times the address changed hands': reached,
        'served as the old owner': served,
        'refused as the new one': refused,
        'proven after, at most': ms(Math.max(...took)),
      },
      marks: {
        'never served as the old identity': served === 0 && refused > 0,
      },
    };
  },
});
