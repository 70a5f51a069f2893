/**
 * Who may ask the controller over TCP: whoever the API server knows by a token that was made for us,
 * and lets do so. The path of a query stands below `/plumbline.dev` there, so a rule for it is
 * `nonResourceURLs: [/plumbline.dev/v1/*]`.
 *
 * A token for the API server itself is none for us: nobody should hand it to anybody else.
 */
import { text, type Caller, type Reply } from '#common/admin.ts';
import { Gate } from '#common/gate.ts';
import type { Reviewer } from '../kube/reviews.ts';

export const API_AUDIENCE = 'plumbline';
const PREFIX = '/plumbline.dev';
/** Three parts of base64url, as every token of a service account has. */
const BEARER = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/;
const LONGEST_HEADER = 8192;
const QUESTIONS_AT_ONCE = 8;

/** Returns the check of one request. */
export function admitBy(reviewer: Reviewer): (caller: Caller) => Promise<Reply | undefined> {
  const gate = new Gate(QUESTIONS_AT_ONCE);
  return async ({ method, path, headers }) => {
    const token = BEARER.exec((headers.authorization ?? '').slice(0, LONGEST_HEADER))?.[1];
    const hint = `a token is needed: kubectl create token NAME --audience ${API_AUDIENCE}\n`;
    if (token === undefined) return text(hint, 401);
    try {
      const subject = await gate.through(async () => reviewer.whoIs(token, API_AUDIENCE));
      if (subject === undefined) return text(hint, 401);
      const [verb, asked] = [method.toLowerCase(), `${PREFIX}${path}`];
      if (await reviewer.mayCall(subject, verb, asked)) return undefined;
      return text(`"${subject.username}" may not ${verb} "${asked}"\n`, 403);
    } catch {
      return text('the API server does not answer; try again\n', 503);
    }
  };
}
