/**
 * All decoders that read what others send: adding one here puts it into `npm run fuzz` and into the
 * everyday test.
 */
import type { Decoder } from '../decoder.ts';
import { certificateRequests } from './certificate-requests.ts';
import { certificates } from './certificates.ts';
import { agentMessages, controllerMessages } from './control-messages.ts';
import { dns } from './dns.ts';
import { handoverState } from './handover-state.ts';
import { hboneHeaders } from './hbone-headers.ts';
import { hpack } from './hpack.ts';
import { http1Requests, http1Responses } from './http1.ts';
import { http2Frames } from './http2-frames.ts';
import { iptablesSave } from './iptables-save.ts';
import { legacyEntries, rtnetlink, rtnetlinkAddresses } from './kernel-bytes.ts';
import { meshUpdates } from './mesh-updates.ts';
import { routes } from './routes.ts';
import { tlsRecords } from './tls-records.ts';
import { yamlObjects } from './yaml-objects.ts';

export const DECODERS: readonly Decoder[] = [
  http2Frames,
  hpack,
  tlsRecords,
  certificates,
  certificateRequests,
  agentMessages,
  controllerMessages,
  dns,
  iptablesSave,
  legacyEntries,
  rtnetlink,
  rtnetlinkAddresses,
  yamlObjects,
  meshUpdates,
  hboneHeaders,
  http1Requests,
  http1Responses,
  routes,
  handoverState,
];
