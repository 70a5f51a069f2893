/**
 * What the programs of the shop share: an HTTP server with a health path, calls on connections of
 * their own, and an end on SIGTERM. Every call carries MARKER and every answer repeats it: a text that
 * nobody should be able to read between the nodes, unless the caller is outside the mesh.
 */
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';

export const marker = process.env['MARKER'] ?? 'no marker';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** Who it came from, as the program sees it. */
  readonly from: string;
}

/** Serves JSON on `port`; an error in `answer` is a 502 with its message. */
export function serve(port: number, answer: (asked: Asked) => unknown): void {
  const respond = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('content-type', 'application/json');
    const theirs = String(incoming.headers['x-marker'] ?? '');
    response.setHeader('x-marker', theirs);
    try {
      const asked = {
        method: incoming.method ?? 'GET',
        path: incoming.url ?? '/',
        body: await readAll(incoming),
        from: incoming.socket.remoteAddress ?? '',
      };
      const body = asked.path === '/healthz' ? { healthy: true } : await answer(asked);
      response.end(`${JSON.stringify({ ...Object(body), marker: theirs })}\n`);
    } catch (error) {
      response.statusCode = 502;
      response.end(`${JSON.stringify({ error: String(error), marker: theirs })}\n`);
    }
  };
  const server = createServer((incoming, response) => void respond(incoming, response));
  server.listen(port, '::', () => console.log(`listening on ${port}`));
  endOnSigterm(() => server.close());
}

/** Makes one call on a connection of its own and returns the JSON of the answer. */
export async function call(url: string, body?: unknown): Promise<unknown> {
  const done = Promise.withResolvers<IncomingMessage>();
  const outgoing = request(url, {
    method: body === undefined ? 'GET' : 'POST',
    agent: false,
    timeout: 5000,
    headers: { 'x-marker': marker, connection: 'close' },
  });
  outgoing.on('response', done.resolve);
  outgoing.on('error', done.reject);
  outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer from ${url} within 5 s`)));
  outgoing.end(body === undefined ? undefined : JSON.stringify({ ...Object(body), marker }));
  const response = await done.promise;
  const text = await readAll(response);
  if (response.statusCode !== 200) throw new Error(`${url}: ${response.statusCode} ${text.trim()}`);
  return JSON.parse(text);
}

export async function readAll(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** As the first process of a container, a program is only told of SIGTERM when it asks for it. */
export function endOnSigterm(close: () => void): void {
  process.on('SIGTERM', () => {
    close();
    setTimeout(() => process.exit(0), 500).unref();
  });
}
