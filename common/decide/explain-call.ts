/**
 * Why a request may or may not pass, in the words of who decides: as explain.ts, for requests.
 */
import type { Step } from './explain.ts';
import type { HttpAuthorizer } from './http-authorize.ts';
import type { HttpCall } from './http-facts.ts';

/** Explains what the policies of `targets` say to a call. */
export function explainCall(
  authorizer: HttpAuthorizer,
  targets: readonly string[],
  call: HttpCall,
): { readonly outcome: 'allow' | 'ask' | 'refuse'; readonly steps: readonly Step[] } {
  const verdict = authorizer.authorize(targets, call);
  const near = verdict.nearMiss === '' ? '' : `; nearest: ${verdict.nearMiss}`;
  const { identity, sourceAddress } = call.connection;
  const who = identity ?? `${sourceAddress}, in clear`;
  const token =
    call.token === undefined ? 'no token' : `a token of ${call.token.issuer}/${call.token.subject}`;
  const steps: Step[] = [
    {
      step: 'source',
      outcome: 'note',
      reason: `${call.method} ${call.host}${call.path} of ${who} with ${token}`,
    },
    {
      step: 'policy',
      outcome: verdict.allow ? 'pass' : 'refuse',
      reason: `${verdict.reason}${near}`,
    },
    ...verdict.ask.map(({ provider, policy, rule }): Step => ({
      step: 'policy',
      outcome: 'note',
      reason: `${policy} ${rule}: ${provider} must say yes as well`,
    })),
    ...verdict.audits.map(({ policy, rule, wouldDeny }): Step => {
      const says = rule === '' ? 'no rule of it matches' : `${rule} matches`;
      const then = wouldDeny ? 'enforced, it would refuse' : 'it would not refuse';
      return { step: 'audit', outcome: 'note', reason: `${policy}: ${says}; ${then}` };
    }),
  ];
  if (!verdict.allow) return { outcome: 'refuse', steps };
  return { outcome: verdict.ask.length > 0 ? 'ask' : 'allow', steps };
}
