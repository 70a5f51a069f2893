/**
 * How `plumb up` learns what should run, and says what does: the directory source over HTTP.
 *
 * A question with `after` is answered when something has changed, or after 25 seconds as it is.
 */
import { json, text, type AdminRoute } from '#common/admin.ts';
import { MeshError } from '#common/errors.ts';
import { decodeRuntimePatch } from '../kube/runtime-decode.ts';
import type { RunnableSource } from '../kube/source.ts';

const LONGEST_POLL_MS = 25_000;

export function runnerRoutes(source: RunnableSource): AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/directory/desired',
      about: 'what should run; ?after=VERSION waits for a change',
      answer: async ({ query, signal }) => {
        const after = query.get('after');
        if (after !== null && !/^\d{1,15}$/.test(after)) {
          return text('after: expected a version\n', 400);
        }
        const patience = AbortSignal.any([signal, AbortSignal.timeout(LONGEST_POLL_MS)]);
        return json(await source.desired(after === null ? undefined : Number(after), patience));
      },
    },
    {
      method: 'POST',
      path: '/v1/directory/runtime',
      about: 'what runs: { pods, gone }',
      answer: ({ body }) => {
        try {
          source.patchRuntime(decodeRuntimePatch(JSON.parse(body)));
        } catch (error) {
          if (error instanceof SyntaxError) return text('the body is no JSON\n', 400);
          if (error instanceof MeshError) return text(`${error.message}\n`, 400);
          throw error;
        }
        return json({});
      },
    },
  ];
}
