/** Claims about policy: who is refused, by which policy, and that a change acts at once. */
import type { AccessLine } from './access-lines.ts';
import type { Claim, Stage } from './claim.ts';
import { insist, SHOP } from './claim.ts';
import type { Call } from './guide.ts';
import { field } from './guide.ts';
import { editYaml } from './stage.ts';

const CHANGE_MS = 10_000;

export const denied: Claim = {
  title: 'a policy refuses a call, and says which one it was',
  show: async (stage) => [
    ...(await refusal(
      stage,
      { from: SHOP.cart, host: 'ledger', port: 80, marker: SHOP.secret },
      { policy: 'ledger-for-payments-only', caller: '/sa/cart' },
    )),
    ...(await refusal(
      stage,
      { from: SHOP.catalog, host: 'payments', port: 50_051 },
      { policy: 'no-catalog-at-payments', caller: '/sa/catalog' },
    )),
  ],
};

async function refusal(
  { guide }: Stage,
  call: Call,
  expected: { readonly policy: string; readonly caller: string },
): Promise<string[]> {
  guide.skipLines();
  const error = await guide.get(call).then(
    ({ status }) => `an answer with status ${status}`,
    (failure: unknown) => failure,
  );
  insist(error instanceof Error, `${call.from} reached ${call.host}: ${String(error)}`);
  const line = await guide.line(
    (one) =>
      field(one, 'code') === 'POLICY_DENIED' &&
      field(one, 'direction') === 'inbound' &&
      field(one, 'src.identity').endsWith(expected.caller),
  );
  const policy = field(line, 'policy');
  insist(policy.includes(expected.policy), `the log names "${policy}"`);
  return [
    `${call.from} → ${call.host}:${call.port}: ${error.message}`,
    `   access log: ${field(line, 'src.identity')} refused by ${policy}${details(line)}`,
  ];
}

function details(line: AccessLine): string {
  const rule = field(line, 'rule');
  const nearMiss = field(line, 'near_miss');
  return `${rule === '' ? '' : `, ${rule}`}${nearMiss === '' ? '' : `; nearest: ${nearMiss}`}`;
}

export const strict: Claim = {
  title: 'a caller outside the mesh is admitted in PERMISSIVE, refused in STRICT, live',
  show: async ({ guide }) => {
    const { directory } = guide.mesh;
    const call = { from: SHOP.visitor, host: 'web.shop', port: 80, marker: SHOP.postcard };
    const admitted = async (): Promise<true | undefined> =>
      guide.get(call).then(
        ({ status }) => (status === 200 ? true : undefined),
        () => undefined,
      );
    const refused = async (): Promise<true | undefined> =>
      (await admitted()) === true ? undefined : true;
    insist((await admitted()) === true, 'the visitor is not admitted in PERMISSIVE');

    guide.skipLines();
    editYaml(directory, 'mode: PERMISSIVE', 'mode: STRICT');
    const edited = performance.now();
    insist((await guide.until(refused, CHANGE_MS)) === true, 'the visitor is still admitted');
    const ms = Math.round(performance.now() - edited);
    const own = guide.pod(SHOP.visitor).runtime.addresses;
    const line = await guide.line(
      (one) =>
        field(one, 'code') === 'POLICY_DENIED' &&
        own.some((address) => field(one, 'src.addr').includes(address)),
    );
    const member = await guide.get({
      from: SHOP.customer,
      host: 'web',
      port: 80,
      marker: SHOP.secret,
    });
    insist(member.status === 200, 'the customer, who is in the mesh, is refused too');
    insist(guide.pod(SHOP.web).runtime.ready, 'probes of the node fail under STRICT');

    editYaml(directory, 'mode: STRICT', 'mode: PERMISSIVE');
    insist((await guide.until(admitted, CHANGE_MS)) === true, 'the visitor stays refused');
    return [
      `PERMISSIVE: the visitor gets 200, in clear`,
      `STRICT: refused ${ms} ms after the edit, by ${field(line, 'policy')}; the customer gets 200`,
      'STRICT: the readiness probe of web, from the node and in clear, went on to pass',
      'PERMISSIVE again: the visitor gets 200',
    ];
  },
};
