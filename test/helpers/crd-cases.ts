/** Objects of our kinds, good and bad, to be judged both by the decoder and by an API server that has our CRDs. */
import { custom, FULL, matchLabels, type CustomObject } from './crd-full.ts';

export interface Case {
  readonly name: string;
  readonly object: CustomObject;
  /** What the API server says; undefined: it takes the object. */
  readonly server?: RegExp;
  /** What the decoder says; undefined: it takes the object. */
  readonly decoder?: RegExp;
}

const ap = (spec: unknown): CustomObject => custom('AuthorizationPolicy', spec);
const pa = (spec: unknown): CustomObject => custom('PeerAuthentication', spec);
const se = (more: object): CustomObject =>
  custom('ServiceEntry', { hosts: ['a.example'], ports: [{ number: 80, name: 'http' }], ...more });
const we = (more: object): CustomObject =>
  custom('WorkloadEntry', { address: '192.0.2.7', ...more });
const source = (given: object): CustomObject => ap({ rules: [{ from: [{ source: given }] }] });
const operation = (given: object): CustomObject => ap({ rules: [{ to: [{ operation: given }] }] });
const when = (given: object): CustomObject => ap({ rules: [{ when: [given] }] });
const both = (said: RegExp): Pick<Case, 'server' | 'decoder'> => ({ server: said, decoder: said });

export const CASES: readonly Case[] = [
  ...FULL.map((object, i) => ({ name: `${object.kind} ${i} with every field`, object })),
  { name: 'a policy that refuses everything', object: ap({}) },
  { name: 'a policy without a spec', object: { ...ap({}), spec: undefined } },
  { name: 'an empty rule', object: ap({ rules: [{}] }) },
  { name: 'AUDIT', object: ap({ action: 'AUDIT', rules: [{}] }) },
  { name: 'a PeerAuthentication for everything', object: pa({ mtls: { mode: 'STRICT' } }) },
  { name: 'an empty PeerAuthentication', object: pa({}) },
  {
    name: 'a host name with DNS',
    object: se({ resolution: 'DNS', endpoints: [{ address: 'b.example' }] }),
  },
  { name: 'hosts with DNS', object: se({ resolution: 'DNS' }) },
  { name: 'a WorkloadEntry with a host name', object: we({ address: 'vm-1.example' }) },

  {
    name: 'CUSTOM',
    object: ap({ action: 'CUSTOM' }),
    server: /Unsupported value: "CUSTOM": supported values: "ALLOW", "DENY", "AUDIT"/,
    decoder: /expected one of ALLOW, DENY, AUDIT/,
  },
  { name: 'an unknown field', object: ap({ ruls: [] }), ...both(/unknown field "(spec\.)?ruls"/) },
  {
    name: 'an unknown field of a source',
    object: source({ principal: ['a'] }),
    ...both(/unknown field "(spec\.rules\[0\]\.from\[0\]\.source\.)?principal"/),
  },
  {
    name: 'targetRefs',
    object: ap({ targetRefs: [{ kind: 'Service', name: 'a' }] }),
    ...both(/unknown field "(spec\.)?targetRefs"/),
  },
  {
    name: 'an empty source',
    object: source({}),
    server: /at least 1 properties/,
    decoder: /nothing in it/,
  },
  {
    name: 'an empty list',
    object: source({ principals: [] }),
    server: /at least 1 items/,
    decoder: /at least 1/,
  },
  {
    name: 'a principal with a scheme',
    object: source({ principals: ['spiffe://cluster.local/ns/a/sa/b'] }),
    server: /principals\[0\].*should match/,
    decoder: /without "spiffe:\/\/"/,
  },
  {
    name: 'a star in the middle',
    object: source({ namespaces: ['a*b'] }),
    server: /namespaces\[0\].*should match/,
    decoder: /"\*" may begin or end it/,
  },
  {
    name: 'no address',
    object: source({ ipBlocks: ['10.0.0'] }),
    server: /ipBlocks\[0\].*should match/,
    decoder: /an address or a CIDR/,
  },
  {
    name: 'a prefix that is too long',
    object: source({ ipBlocks: ['10.0.0.0/33'] }),
    server: /ipBlocks\[0\].*should match/,
    decoder: /an address or a CIDR/,
  },
  {
    name: 'a port as a number',
    object: operation({ ports: [8080] }),
    server: /ports\[0\].*must be of type string/,
    decoder: /a port in quotes/,
  },
  {
    name: 'port 65536',
    object: operation({ ports: ['65536'] }),
    server: /ports\[0\].*should match/,
    decoder: /a port in quotes/,
  },
  {
    name: 'an unknown key',
    object: when({ key: 'source.pod', values: ['a'] }),
    server: /key.*should match/,
    decoder: /unknown key "source\.pod"/,
  },
  {
    name: 'a condition without values',
    object: when({ key: 'source.ip' }),
    ...both(/expected values or notValues/),
  },
  {
    name: 'a label value with blanks',
    object: ap({ selector: { matchLabels: { app: 'a b' } } }),
    server: /matchLabels\.app.*should match/,
    decoder: /a label value/,
  },
  {
    name: 'a DENY rule of HTTP alone: only the decoder knows',
    object: ap({ action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] }),
    decoder: /needs HTTP/,
  },
  {
    name: 'an unknown mode',
    object: pa({ mtls: { mode: 'STRCT' } }),
    server: /Unsupported value: "STRCT"/,
    decoder: /did you mean "STRICT"/,
  },
  {
    name: 'ports without a selector',
    object: pa({ portLevelMtls: { '80': { mode: 'DISABLE' } } }),
    server:
      /portLevelMtls needs a selector that names labels: expected spec\.selector\.matchLabels/,
    decoder: /ports without a selector; expected spec\.selector/,
  },
  {
    name: 'a port that is none',
    object: pa({ selector: { matchLabels }, portLevelMtls: { http: { mode: 'DISABLE' } } }),
    server: /expected ports from 1 to 65535 as names, such as "8080"/,
    decoder: /a port from 1 to 65535/,
  },
  {
    name: 'an unknown mtls field',
    object: pa({ mtls: { mod: 'STRICT' } }),
    ...both(/unknown field "(spec\.mtls\.)?mod"/),
  },
  {
    name: 'no hosts',
    object: custom('ServiceEntry', { ports: [{ number: 80, name: 'http' }] }),
    server: /spec\.hosts: Required value/,
    decoder: /spec\.hosts: missing/,
  },
  {
    name: 'no spec',
    object: { ...se({}), spec: undefined },
    server: /spec: Required value/,
    decoder: /spec: missing/,
  },
  {
    name: 'endpoints beside a selector',
    object: se({
      resolution: 'STATIC',
      endpoints: [{ address: '10.0.0.1' }],
      workloadSelector: { labels: {} },
    }),
    server: /endpoints and workloadSelector exclude each other: expected one of the two/,
    decoder: /beside endpoints; expected one of the two/,
  },
  {
    name: 'endpoints without a resolution',
    object: se({ endpoints: [{ address: '10.0.0.1' }] }),
    server: /endpoints need a resolution of STATIC or DNS/,
    decoder: /"NONE" with endpoints; expected one of STATIC, DNS/,
  },
  {
    name: 'a name with STATIC',
    object: se({
      resolution: 'STATIC',
      endpoints: [{ address: '10.0.0.1' }, { address: 'a.example' }],
    }),
    server: /with resolution STATIC every endpoint needs an IP address/,
    decoder: /expected an address with resolution STATIC/,
  },
  {
    name: 'a wildcard with DNS',
    object: se({ hosts: ['*.example'], resolution: 'DNS' }),
    server: /with resolution DNS and no endpoints every host must be a whole name/,
    decoder: /expected a whole name with resolution DNS/,
  },
  {
    name: 'an unknown protocol',
    object: se({ ports: [{ number: 80, name: 'http', protocol: 'UDP' }] }),
    server: /Unsupported value: "UDP"/,
    decoder: /expected one of TCP, TLS/,
  },
  {
    name: 'a port name of digits',
    object: se({ ports: [{ number: 80, name: '80' }] }),
    server: /expected at least one letter/,
    decoder: /a port name/,
  },
  {
    name: 'two words in exportTo',
    object: se({ exportTo: ['*', '.'] }),
    server: /must have at most 1 item/,
    decoder: /2 items; expected/,
  },
  {
    name: 'weight -1',
    object: we({ weight: -1 }),
    server: /greater than or equal to 0/,
    decoder: /from 0 to 65535/,
  },
  {
    name: 'a locality of four parts',
    object: we({ locality: 'a/b/c/d' }),
    server: /locality.*should match/,
    decoder: /region\/zone\/subzone/,
  },
  {
    name: 'a port name that is too long',
    object: we({ ports: { 'a-very-long-name': 80 } }),
    server: /expected names of ports/,
    decoder: /a port name/,
  },
  {
    name: 'an unknown field of an entry',
    object: we({ network: 'a' }),
    ...both(/unknown field "(spec\.)?network"/),
  },
];
