/**
 * The iptables rules that lead a pod's TCP to the node agent, as plain data.
 *
 * Every rule is spelled exactly as `iptables-save` prints it, so to check is to compare lines. All
 * rules stand in chains of ours, each called by one jump, the first rule of a built-in chain: what
 * else the pod keeps in its tables is neither touched nor asked first. What nat leaves out by
 * exclusion is left out of the fence too.
 */
import type { CaptureOptions } from '#common/mesh/workload.ts';
import { type Family, formatAddress, isMapped, parseCidr } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';

export interface CapturePorts {
  readonly outbound: number;
  readonly inbound: number;
  readonly hbone: number;
  readonly dns: number;
}

export const CAPTURE_PORTS: CapturePorts = {
  outbound: 15001,
  inbound: 15006,
  hbone: 15008,
  dns: 15053,
};

export type Table = 'raw' | 'mangle' | 'nat' | 'filter';

export interface Rule {
  /** All that follows `-A CHAIN `. */
  readonly spec: string;
}

export interface ChainPlan {
  readonly name: string;
  /** The built-in chain whose first rule is the jump to this one. */
  readonly from: string;
  readonly rules: readonly Rule[];
}

export interface TablePlan {
  readonly table: Table;
  readonly chains: readonly ChainPlan[];
}

/** Tables in the order in which it is safe to load them; the reverse is safe for taking them away. */
export type Plan = readonly TablePlan[];

/** What every chain of ours begins with, and no other. */
export const CHAIN_PREFIX = 'PLUMB_';

/** On every socket of the agent; within the mask it differs from the mark of Istio's ztunnel. */
export const AGENT_MARK = 0x4d1;
/** On flows between agent and application, so that the replies come back to the agent. */
export const RETURN_MARK = 0x411;
export const MARK_MASK = 0xfff;

/** Where probes of the node (the kubelet's) seem to come from inside a pod. */
export const PROBE_SOURCE: Readonly<Record<Family, string>> = {
  4: '169.254.7.128',
  6: 'fd16:9254:7128:1337:ffff:ffff:ffff:ffff',
};

/** More than this many ports or CIDRs to exclude is taken for a mistake. */
export const LONGEST_EXCLUSION_LIST = 64;

const AGENT = `0x${AGENT_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
const RETURN = `0x${RETURN_MARK.toString(16)}/0x${MARK_MASK.toString(16)}`;
const NOT_AGENT = `-m mark ! --mark ${AGENT}`;

interface Facts {
  readonly ports: CapturePorts;
  readonly options: CaptureOptions;
  readonly probe: string;
  readonly loopback: string;
  readonly cidrs: readonly string[];
}

/** Lists all rules for one pod and family; throws `CONFIG_INVALID` when an exclusion makes no sense. */
export function planCapture(
  family: Family,
  options: CaptureOptions,
  ports: CapturePorts = CAPTURE_PORTS,
): Plan {
  checkPorts(options.excludeInboundPorts);
  checkPorts(options.excludeOutboundPorts);
  const facts: Facts = {
    ports,
    options,
    probe: family === 4 ? `${PROBE_SOURCE[4]}/32` : `${PROBE_SOURCE[6]}/128`,
    loopback: family === 4 ? '127.0.0.1/32' : '::1/128',
    cidrs: cidrsOf(family, options.excludeOutboundCidrs),
  };
  return [
    mangle(facts),
    ...(options.dnsCapture ? [raw()] : []),
    nat(facts),
    ...(options.failClosed ? [fence(facts)] : []),
  ];
}

function mangle({ options }: Facts): TablePlan {
  const dns = options.dnsCapture;
  const notDns = (end: string): string => (dns ? `-p udp -m udp ! --${end} 53` : '-p udp');
  return {
    table: 'mangle',
    chains: [
      // Behind the routing, so that a mark changes no way. The application's socket takes the mark of
      // its SYN (tcp_fwmark_accept); without it each of its packets would be routed a second time.
      chain('INPUT', [
        rule(`-m mark --mark ${AGENT}`, 'agent to app', `CONNMARK --set-xmark ${RETURN}`),
        rule(`-m mark --mark ${AGENT}`, 'for the socket', `MARK --set-xmark ${RETURN}`),
        rule(`! -i lo ${notDns('sport')}`, UDP_COUNT),
      ]),
      chain('OUTPUT', [
        rule(
          // The agent's own packets of the same connection find their way: routing them again costs.
          `${NOT_AGENT} -m connmark --mark ${RETURN}`,
          'app to agent',
          'CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
        ),
        rule(`! -o lo ${notDns('dport')}`, UDP_COUNT),
      ]),
    ],
  };
}

/** The comment of the two rules that only count; see udpPackets in compare.ts. */
export const UDP_COUNT = 'udp is not carried';

/** The agent's own DNS queries in a conntrack zone of their own: they would clash with the app's. */
function raw(): TablePlan {
  return {
    table: 'raw',
    chains: [
      chain('PREROUTING', [
        rule(`-p udp ${NOT_AGENT} -m udp --sport 53`, 'answer to the agent', 'CT --zone 1'),
      ]),
      chain('OUTPUT', [
        rule(
          `-p udp -m mark --mark ${AGENT} -m udp --dport 53`,
          'query of the agent',
          'CT --zone 1',
        ),
      ]),
    ],
  };
}

function nat({ ports, options, probe, loopback, cidrs }: Facts): TablePlan {
  const toDns = `REDIRECT --to-ports ${ports.dns}`;
  return {
    table: 'nat',
    chains: [
      chain('PREROUTING', [
        rule(`-s ${probe} -p tcp`, 'probes of the node pass', 'ACCEPT'),
        ...options.excludeInboundPorts.map(excludedPort),
        rule(
          `! -d ${loopback} -p tcp -m tcp ! --dport ${ports.hbone} ${NOT_AGENT}`,
          'inbound plaintext',
          `REDIRECT --to-ports ${ports.inbound}`,
        ),
      ]),
      chain('OUTPUT', [
        rule(`-d ${probe} -p tcp`, 'replies to probes pass', 'ACCEPT'),
        ...cidrs.map(excludedCidr),
        ...options.excludeOutboundPorts.map(excludedPort),
        ...(options.dnsCapture && options.excludeOutboundPorts.includes(53)
          ? [rule('-p udp -m udp --dport 53', 'excluded port', 'RETURN')]
          : []),
        ...(options.dnsCapture
          ? [
              rule(`! -o lo -p udp -m udp --dport 53 ${NOT_AGENT}`, 'dns query', toDns),
              rule(
                `! -d ${loopback} -p tcp -m tcp --dport 53 ${NOT_AGENT}`,
                'dns query by tcp',
                toDns,
              ),
            ]
          : []),
        rule(`-p tcp -m mark --mark ${RETURN}`, 'reply of the app', 'ACCEPT'),
        rule(`! -d ${loopback} -o lo`, 'pod calls itself', 'ACCEPT'),
        rule(
          `! -d ${loopback} -p tcp ${NOT_AGENT}`,
          'outbound capture',
          `REDIRECT --to-ports ${ports.outbound}`,
        ),
      ]),
    ],
  };
}

/**
 * Refuses what nat should have redirected, should nat be gone. The test on the way out is on the
 * destination: the filter hook still sees the interface from before a redirect.
 */
function fence({ ports, options, probe, cidrs }: Facts): TablePlan {
  const fresh = '-p tcp -m conntrack --ctstate NEW';
  const refuse = 'REJECT --reject-with tcp-reset';
  return {
    table: 'filter',
    chains: [
      chain('INPUT', [
        ...options.excludeInboundPorts.map(excludedPort),
        rule(
          `! -s ${probe} ! -i lo ${fresh} -m multiport ! --dports ${ports.inbound},${ports.hbone}`,
          'inbound fence',
          refuse,
        ),
      ]),
      chain('OUTPUT', [
        ...cidrs.map(excludedCidr),
        ...options.excludeOutboundPorts.map(excludedPort),
        rule(`${fresh} -m addrtype ! --dst-type LOCAL ${NOT_AGENT}`, 'outbound fence', refuse),
      ]),
    ],
  };
}

function chain(from: string, rules: readonly Rule[]): ChainPlan {
  return { name: `${CHAIN_PREFIX}${from}`, from, rules };
}

/** The comment goes into the kernel, for whoever reads `iptables-save` at night. */
function rule(match: string, why: string, target?: string): Rule {
  const jump = target === undefined ? '' : ` -j ${target}`;
  return { spec: `${match === '' ? '' : `${match} `}-m comment --comment "${why}"${jump}` };
}

function excludedPort(port: number): Rule {
  return rule(`-p tcp -m tcp --dport ${port}`, 'excluded port', 'RETURN');
}

function excludedCidr(cidr: string): Rule {
  return rule(cidr === '' ? '' : `-d ${cidr}`, 'excluded addresses', 'RETURN');
}

function checkPorts(ports: readonly number[]): void {
  if (ports.length > LONGEST_EXCLUSION_LIST) throw invalid(`${ports.length} excluded ports`);
  if (new Set(ports).size !== ports.length) throw invalid('a port is excluded twice');
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid(`port "${port}"`);
  }
}

/** The CIDRs of one family as the kernel prints them: host bits cleared, `''` for everything. */
function cidrsOf(family: Family, texts: readonly string[]): readonly string[] {
  if (texts.length > LONGEST_EXCLUSION_LIST) throw invalid(`${texts.length} excluded CIDRs`);
  const spelled = texts
    .filter((text) => (text.includes(':') ? 6 : 4) === family)
    .map((text) => {
      const cidr = parseCidr(text);
      if (cidr === undefined) throw invalid(`CIDR "${text}"`);
      const bytes = cidr.bytes.map((byte, i) => byte & maskAt(cidr.bits, i));
      if (family === 6 && carriesIpv4(bytes)) throw invalid(`CIDR "${text}" holds an IPv4 address`);
      const bits = family === 4 ? cidr.bits - 96 : cidr.bits;
      return bits === 0 ? '' : `${formatAddress(bytes)}/${bits}`;
    });
  return [...new Set(spelled)];
}

function maskAt(bits: number, byte: number): number {
  const here = Math.min(8, Math.max(0, bits - byte * 8));
  return (0xff00 >> here) & 0xff;
}

/** Such an address is spelled in several ways; no pod has one. */
function carriesIpv4(bytes: Uint8Array): boolean {
  const compatible = bytes.subarray(0, 12).every((byte) => byte === 0);
  return isMapped(bytes) || (compatible && (bytes[12] !== 0 || bytes[13] !== 0));
}

function invalid(found: string): MeshError {
  return new MeshError('CONFIG_INVALID', `Cannot plan the capture of a pod: ${found}`);
}
