/** R13: one side ends its half early, and the other answers two seconds later; both ways round. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { dial, serve } from './pod-sockets.ts';
import { onBench } from './world.ts';

const LATE_MS = 2000;
const BYTES = [1, 65_536, 3_000_000];

async function hashOf(socket: Socket): Promise<string> {
  const hash = createHash('sha256');
  socket.on('data', (chunk: Buffer) => hash.update(chunk));
  await once(socket, 'end');
  return hash.digest('hex');
}

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export const scenario = onBench({
  name: 'half-close',
  title: 'R13: half-closed connections get their late answer, and late questions, whole',
  run: async (world, { quick }, undo) => {
    const { mesh } = world;
    const [near, far] = [mesh.pod('shop/a1'), mesh.pod('shop/b1')];
    let right = 0;
    let all = 0;
    const check = async (bytes: number, address: string, port: number, clientFirst: boolean) => {
      const [question, answer] = [randomBytes(bytes), randomBytes(bytes)];
      const served = Promise.withResolvers<string>();
      await serve(undo, { fd: far.fd, port }, (client) => {
        const late = async (): Promise<void> => {
          served.resolve(await hashOf(client));
          await delay(LATE_MS);
          if (clientFirst) client.end(answer);
        };
        void late();
        if (!clientFirst) client.end(answer);
      });
      const socket = dial(undo, near, { address, port });
      const received = hashOf(socket);
      if (clientFirst) socket.end(question);
      else {
        await received;
        await delay(LATE_MS);
        socket.end(question);
      }
      all += 2;
      const [atClient, atServer] = await Promise.all([received, served.promise]);
      right += Number(atClient === sha(answer)) + Number(atServer === sha(question));
    };
    const cases: Promise<void>[] = [];
    let port = 9000;
    for (let round = 0; round < (quick ? 1 : 10); round += 1) {
      for (const address of far.addresses) {
        for (const bytes of BYTES) {
          for (const clientFirst of [true, false])
            cases.push(check(bytes, address, (port += 1), clientFirst));
        }
      }
    }
    await Promise.all(cases);
    return {
      figures: { 'halves that were sent': all, 'of them whole': right },
      marks: { 'every byte arrives': right === all },
    };
  },
});
