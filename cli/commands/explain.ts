/**
 * `plumb explain SRC DST:PORT`: what becomes of a connection, step by step, each with its reason.
 *
 * The steps come from the agents at both ends, out of the functions that decide on real connections.
 */
import { EXIT_BAD_ANSWER, EXIT_OK } from '../exit-codes.ts';
import { at, listAt, printable } from '../text.ts';
import type { MeshClient, NodeRow } from './mesh-client.ts';
import { renderValue } from './output.ts';
import type { Format } from './output.ts';
import type { Answer } from './status.ts';

interface Step {
  readonly step: string;
  readonly outcome: string;
  readonly reason: string;
}

export interface Question {
  /** `namespace/pod`, or a pod's name where that is enough. */
  readonly source: string;
  /** `host:port` or `ip:port`, as a program in the pod would say it. */
  readonly destination: string;
}

export async function explain(
  client: MeshClient,
  { source, destination }: Question,
  format: Format,
): Promise<Answer> {
  const pod = await client.findPod(source);
  const name = `${at(pod, 'namespace')}/${at(pod, 'name')}`;
  const query = new URLSearchParams({ pod: name, to: destination });
  const [entry] = client.agents(pod.node);
  if (entry === undefined) throw new RangeError(`no agent for ${pod.node}`);
  const outbound = await client.agent(entry, `/explain?${query.toString()}`);
  const isMember = at(pod, 'enrolled') === 'true';
  const steps: Step[] = [captureStep(pod), identityStep(pod, outbound)];
  for (const step of stepsOf(outbound)) {
    const isTarget = step.step === 'target' && step.outcome === 'pass';
    steps.push(
      isTarget && !isMember ? { ...step, reason: `${targetOf(outbound)}, in clear` } : step,
    );
  }
  let outcome = at(outbound, 'outcome');
  if (outcome === 'tunnel' && !isMember) outcome = 'plain';
  if (outcome !== 'refuse' && at(outbound, 'target.workload.name') !== '') {
    const inbound = await inboundOf(client, pod, outbound);
    steps.push(...inbound.steps);
    if (inbound.refused) outcome = 'refuse';
  }
  const exitCode = outcome === 'refuse' ? EXIT_BAD_ANSWER : EXIT_OK;
  const value = { source: name, destination, outcome, steps };
  if (format !== 'table') return { text: renderValue(value, format), exitCode };
  const lines = steps.map(
    (step) => `${sign(step.outcome)} ${step.step.padEnd(9)} ${printable(step.reason)}`,
  );
  const verdict = `${name} → ${destination}: ${VERDICTS[outcome] ?? outcome}`;
  return { text: `${lines.join('\n')}\n${printable(verdict)}\n`, exitCode };
}

const VERDICTS: Readonly<Record<string, string>> = {
  tunnel: 'goes through a tunnel, mutual TLS, and is let in',
  plain: 'goes in clear, and nothing in the mesh refuses it',
  direct: 'goes where it was bound for, untouched',
  refuse: 'is refused',
};

function captureStep(pod: NodeRow): Step {
  const isEnrolled = at(pod, 'enrolled') === 'true';
  const isProven = at(pod, 'capture.proven') === 'true';
  if (!isEnrolled) {
    const why = at(pod, 'exemption');
    const reason = `the pod is outside the mesh (${why}): its connections go in clear`;
    return { step: 'capture', outcome: 'note', reason };
  }
  const problem = at(pod, 'problem') || at(pod, 'capture.reason');
  return isProven
    ? { step: 'capture', outcome: 'pass', reason: 'the pod is proven captured' }
    : { step: 'capture', outcome: 'refuse', reason: `the pod is not proven captured: ${problem}` };
}

function identityStep(pod: NodeRow, outbound: unknown): Step {
  const reason =
    at(pod, 'enrolled') === 'true'
      ? `it shows the identity ${at(outbound, 'identity')}`
      : 'it can show no identity';
  return { step: 'identity', outcome: 'note', reason };
}

async function inboundOf(
  client: MeshClient,
  source: NodeRow,
  outbound: unknown,
): Promise<{ readonly refused: boolean; readonly steps: readonly Step[] }> {
  const node = at(outbound, 'target.workload.node');
  const entry = client.mesh.agents.find((agent) => agent.node === node);
  const name = `${at(outbound, 'target.workload.namespace')}/${at(outbound, 'target.workload.name')}`;
  if (entry === undefined) return { refused: false, steps: [] };
  const rows = await client.rows([entry], '/proof');
  const target = rows.find((row) => `${at(row, 'namespace')}/${at(row, 'name')}` === name);
  if (target === undefined || at(target, 'enrolled') !== 'true') {
    const reason = `${name} is outside the mesh: no policy is enforced there`;
    return { refused: false, steps: [{ step: 'policy', outcome: 'note', reason }] };
  }
  const address = at(outbound, 'target.address');
  const own = listAt(outbound, 'source').map(String);
  const sameFamily = own.find((one) => one.includes(':') === address.includes(':')) ?? own[0];
  const query = new URLSearchParams({
    pod: name,
    from: at(source, 'enrolled') === 'true' ? at(outbound, 'identity') : 'none',
    source: sameFamily ?? '0.0.0.0',
    address,
    port: at(outbound, 'target.port'),
  });
  const inbound = await client.agent(entry, `/inbound-explain?${query.toString()}`);
  return { refused: at(inbound, 'outcome') === 'refuse', steps: stepsOf(inbound) };
}

/** Where a connection from outside the mesh ends up, by the address rewriting of its node. */
function targetOf(outbound: unknown): string {
  const address = at(outbound, 'target.address');
  const where = address.includes(':') ? `[${address}]` : address;
  const workload = `${at(outbound, 'target.workload.namespace')}/${at(outbound, 'target.workload.name')}`;
  return `${workload} at ${where}:${at(outbound, 'target.port')}`;
}

function stepsOf(answer: unknown): Step[] {
  return listAt(answer, 'steps').map((step) => ({
    step: at(step, 'step'),
    outcome: at(step, 'outcome'),
    reason: at(step, 'reason'),
  }));
}

function sign(outcome: string): string {
  if (outcome === 'pass') return '✓';
  return outcome === 'refuse' ? '✗' : '·';
}
