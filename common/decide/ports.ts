/**
 * The ports of the node agent inside a pod, which no proxied connection may ever target: the agent
 * would be talking to itself, for ever.
 */
export const OUTBOUND_PORT = 15_001;
export const INBOUND_PLAINTEXT_PORT = 15_006;
export const HBONE_PORT = 15_008;

const AGENT_PORTS: ReadonlySet<number> = new Set([
  OUTBOUND_PORT,
  INBOUND_PLAINTEXT_PORT,
  HBONE_PORT,
]);

/** Says whether `port` is one of the agent's own. */
export function isAgentPort(port: number): boolean {
  return AGENT_PORTS.has(port);
}
