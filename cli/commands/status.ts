/**
 * `plumb status`: are all agents there and current, and is every pod of the mesh proven captured?
 *
 * The answer is good only when nothing is missing: an agent that does not speak, one that waits for
 * something, or a pod without proof makes it bad.
 */
import { EXIT_BAD_ANSWER, EXIT_OK } from '../exit-codes.ts';
import { at, renderTable } from '../text.ts';
import type { MeshClient, NodeRow } from './mesh-client.ts';
import { renderValue } from './output.ts';
import type { Format } from './output.ts';

export interface Answer {
  readonly text: string;
  readonly exitCode: number;
}

export async function status(client: MeshClient, format: Format): Promise<Answer> {
  const controller = await client.controller('/v1/version');
  const agents = await client.summaries();
  const alive = client.mesh.agents.filter((entry) =>
    agents.some((agent) => agent.node === entry.node && at(agent, 'pid') !== ''),
  );
  const pods = await client.rows(alive, '/proof');
  const isGood =
    agents.every((agent) => at(agent, 'ready') === 'true') &&
    pods.every((pod) => at(pod, 'enrolled') !== 'true' || at(pod, 'capture.proven') === 'true');
  const exitCode = isGood ? EXIT_OK : EXIT_BAD_ANSWER;
  if (format !== 'table') {
    const value = { mesh: client.mesh.name, good: isGood, controller, agents, pods };
    return { text: renderValue(value, format), exitCode };
  }
  const labelled = pods.filter((pod) => at(pod, 'enrolled') === 'true');
  const proven = labelled.filter((pod) => at(pod, 'capture.proven') === 'true');
  const text = [
    `mesh ${client.mesh.name}, from ${client.mesh.directory}\n`,
    `controller ${at(controller, 'version')}, pid ${client.mesh.controller.pid}, mesh version ${at(controller, 'meshVersion')}, trust domain ${at(controller, 'trustDomain')}\n\n`,
    renderTable([
      ['NODE', 'AGENT', 'PID', 'READY', 'MESH VERSION', 'CONTROL', 'LABELLED', 'PROVEN'],
      ...agents.map(agentLine),
    ]),
    '\n',
    renderTable([['POD', 'NODE', 'CAPTURED', 'SINCE', 'REASON'], ...pods.map(podLine)]),
    `\n${proven.length} of ${labelled.length} pods that belong to the mesh are proven captured\n`,
  ].join('');
  return { text, exitCode };
}

function agentLine(agent: NodeRow): string[] {
  const waiting = at(agent, 'waitingFor');
  const problem = at(agent, 'problem') || (waiting === '' ? 'no' : `waits for ${waiting}`);
  return [
    agent.node,
    at(agent, 'version'),
    at(agent, 'pid'),
    at(agent, 'ready') === 'true' ? 'yes' : problem,
    at(agent, 'workerVersion'),
    at(agent, 'control.state'),
    at(agent, 'podsLabelled'),
    at(agent, 'podsProven'),
  ];
}

function podLine(pod: NodeRow): string[] {
  const isEnrolled = at(pod, 'enrolled') === 'true';
  const proven = at(pod, 'capture.proven');
  const since = Number(at(pod, 'capture.since'));
  const reason = at(pod, 'problem') || at(pod, isEnrolled ? 'capture.reason' : 'exemption');
  return [
    `${at(pod, 'namespace')}/${at(pod, 'name')}`,
    pod.node,
    isEnrolled ? (proven === 'true' ? 'proven' : 'NOT PROVEN') : 'outside',
    since > 0 ? new Date(since).toISOString().slice(11, 19) : '',
    reason,
  ];
}
