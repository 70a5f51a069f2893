/** Gateway and ReferenceGrant of the Gateway API, as far as routing looks at them. */
import type {
  GatewayObject,
  ListenerSpec,
  ReferenceGrantObject,
} from '../../model/route-objects.ts';
import { GATEWAY_GROUP } from '../../model/route-objects.ts';
import { convert, list, oneOf, optional, record, required, text, withDefault } from '../schema.ts';
import { generationMeta, groupKind, sectionName } from './gateway-shared.ts';
import { dnsLabel, hostname, labelSelector, namespacedMeta, objectName, port } from './shared.ts';

const allowedRoutes = convert(
  record({
    namespaces: withDefault(
      record({
        from: withDefault(oneOf('Same', 'All', 'Selector', 'None'), 'Same'),
        selector: optional(labelSelector),
      }),
      { from: 'Same', selector: undefined },
    ),
    kinds: optional(
      list(
        record({
          group: withDefault(text(), GATEWAY_GROUP),
          kind: groupKind.kind,
        }),
        { min: 1, max: 8 },
      ),
    ),
  }),
  ({ namespaces, kinds }, path, report) => {
    if ((namespaces.from === 'Selector') === (namespaces.selector !== undefined)) {
      return { ...namespaces, kinds };
    }
    report(
      [...path, 'namespaces'],
      `from ${namespaces.from}; expected a selector with Selector alone`,
    );
    return undefined;
  },
);

const listener = convert(
  record(
    {
      name: required(sectionName),
      port: required(port),
      protocol: required(
        text('a protocol such as HTTP, HTTPS, TLS, TCP or HBONE', (value) =>
          /^[A-Za-z0-9./-]{1,255}$/.test(value),
        ),
      ),
      hostname: withDefault(hostname, ''),
      tls: optional(
        record({ mode: withDefault(oneOf('Terminate', 'Passthrough'), 'Terminate') }, [
          'certificateRefs',
          'options',
        ]),
      ),
      allowedRoutes: withDefault(allowedRoutes, {
        from: 'Same',
        selector: undefined,
        kinds: undefined,
      }),
    },
    [],
  ),
  ({ tls, allowedRoutes: allowed, ...rest }): ListenerSpec => ({
    ...rest,
    tlsMode: tls?.mode ?? '',
    allowed,
  }),
);

export const gatewaySchema = convert(
  record(
    {
      metadata: required(generationMeta),
      spec: required(
        record(
          {
            gatewayClassName: required(objectName),
            listeners: required(list(listener, { min: 1, max: 64 })),
          },
          ['infrastructure', 'addresses'],
        ),
      ),
    },
    ['status'],
  ),
  ({ metadata, spec }): GatewayObject => ({
    kind: 'Gateway',
    ...metadata,
    className: spec.gatewayClassName,
    listeners: spec.listeners,
  }),
);

const grantSpec = record({
  from: required(
    list(record({ ...groupKind, namespace: required(dnsLabel) }), { min: 1, max: 16 }),
  ),
  to: required(
    list(record({ ...groupKind, name: withDefault(objectName, '') }), { min: 1, max: 16 }),
  ),
});

export const referenceGrantSchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(grantSpec) }),
  ({ metadata, spec }): ReferenceGrantObject => ({
    kind: 'ReferenceGrant',
    meta: metadata,
    ...spec,
  }),
);
