/** Deployment: replicas of a pod template, replaced one by one when the template changes. */
import type { LabelSelector, Meta } from '../../model/objects.ts';
import { selects } from '../../model/selector.ts';
import { integer, oneOf, optional, record, required, convert, withDefault } from '../schema.ts';
import { podSpec, type PodSpec } from './pod.ts';
import { labelSelector, namespacedMeta, templateMeta } from './shared.ts';

export interface PodTemplate {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
}

export interface DeploymentObject {
  readonly kind: 'Deployment';
  readonly meta: Meta;
  readonly replicas: number;
  readonly strategy: 'RollingUpdate' | 'Recreate';
  readonly selector: LabelSelector;
  readonly template: PodTemplate;
}

const MAX_REPLICAS = 1000;

const template = record({
  metadata: withDefault(templateMeta, { labels: {}, annotations: {} }),
  spec: required(podSpec),
});

const spec = convert(
  record(
    {
      replicas: withDefault(integer(0, MAX_REPLICAS), 1),
      selector: required(labelSelector),
      template: required(template),
      strategy: optional(
        record({ type: withDefault(oneOf('RollingUpdate', 'Recreate'), 'RollingUpdate') }),
      ),
    },
    ['revisionHistoryLimit'],
  ),
  (raw, path, report) => {
    if (!selects(raw.selector, raw.template.metadata.labels)) {
      report(
        [...path, 'selector'],
        'does not select the labels of the template; expected that it does',
      );
      return undefined;
    }
    if (raw.template.spec.restartPolicy !== 'Always') {
      report(
        [...path, 'template', 'spec', 'restartPolicy'],
        `"${raw.template.spec.restartPolicy}"; expected Always in a Deployment`,
      );
      return undefined;
    }
    return raw;
  },
);

export const deploymentSchema = convert(
  record({ metadata: required(namespacedMeta), spec: required(spec) }, ['status']),
  (raw): DeploymentObject => ({
    kind: 'Deployment',
    meta: raw.metadata,
    replicas: raw.spec.replicas,
    strategy: raw.spec.strategy?.type ?? 'RollingUpdate',
    selector: raw.spec.selector,
    template: {
      labels: raw.spec.template.metadata.labels,
      annotations: raw.spec.template.metadata.annotations,
      spec: raw.spec.template.spec,
    },
  }),
);
