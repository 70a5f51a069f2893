/** What agents are told so that a pod can be captured before it runs. */
import { test } from 'tap';
import { Model } from '../../../controller/model/model.ts';
import { MESHED, namespace, pod, set } from '../../helpers/mesh-objects.ts';

test('the agent hears of a pod that has a node, before the pod is a workload', async (t) => {
  const starting = { phase: 'Pending', ready: false } as const;
  const diff = new Model().apply(
    set(
      namespace('shop', MESHED),
      pod('starting', '', starting),
      pod('waiting', '', { ...starting, node: '' }),
      pod('ending', '', { ...starting, terminating: true }),
      pod('ended', '', { phase: 'Failed' }),
      pod('running', '10.0.0.1'),
    ),
  );
  t.strictSame(
    diff.workloads.map(({ name }) => name),
    ['running'],
  );
  t.strictSame(
    diff.pods.map(({ node: on, pod: { name, addresses, enrolled } }) => [
      on,
      name,
      addresses,
      enrolled,
    ]),
    [
      ['n1', 'starting', [], true],
      ['n1', 'running', ['10.0.0.1'], true],
    ],
  );
});

test('a namespace is enrolled by its label, and says what becomes of pods that are not proven', async (t) => {
  const model = new Model();
  const open = { 'plumbline.dev/on-failure': 'open' };
  model.apply(
    set(
      namespace('web', { ...MESHED, ...open }),
      namespace('shop', MESHED),
      namespace('bank', MESHED, open),
      namespace('none', { 'plumbline.dev/dataplane-mode': 'none' }),
      namespace('kube-system', MESHED),
      namespace('plumbline-system', MESHED),
      namespace('other'),
    ),
  );
  t.strictSame(model.enrolledNamespaces(), [
    { name: 'bank', onFailure: 'open' },
    { name: 'shop', onFailure: 'hold' },
    { name: 'web', onFailure: 'open' },
  ]);
  model.apply(set(namespace('shop')));
  t.notOk(model.enrolledNamespaces().some(({ name }) => name === 'shop'));
});
