/** The desired state is read strictly: what is not exactly it is refused with the path of the field. */
import { test } from 'tap';
import { decodeDesired } from '../../../cli/up/desired.ts';
import { formatProblem } from '../../../common/control/desired.ts';

const probe = {
  check: { kind: 'http', path: '/healthz', port: 8080, headers: [] },
  initialDelaySeconds: 0,
  periodSeconds: 1,
  timeoutSeconds: 1,
  successThreshold: 1,
  failureThreshold: 3,
};
const container = {
  name: 'web',
  command: ['node', 'web.ts'],
  args: [],
  env: [{ name: 'A', value: 'two\nlines' }],
  workingDir: '',
  ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
  readinessProbe: probe,
};
const pod = {
  podUid: '0b9c2a4e-0000-4000-8000-000000000001',
  namespace: 'shop',
  name: 'web-0',
  node: 'node-a',
  labels: { app: 'web' },
  serviceAccount: 'web',
  hostNetwork: false,
  restartPolicy: 'Always',
  terminationGracePeriodSeconds: 5,
  containers: [container],
};
const state = {
  epoch: 'e',
  version: 1,
  problems: [],
  warnings: [],
  nodes: [],
  pods: [pod],
  hosts: [],
};

function refusal(pods: readonly unknown[]): string {
  try {
    decodeDesired(JSON.stringify({ ...state, pods }));
    return 'taken';
  } catch (error) {
    return error instanceof Error ? error.message : 'no error';
  }
}

test('decodeDesired() takes a state whose containers have probes or none', async (t) => {
  const bare = { ...container, readinessProbe: undefined };
  const read = decodeDesired(JSON.stringify({ ...state, pods: [{ ...pod, containers: [bare] }] }));
  t.equal(read.pods[0]?.containers[0]?.readinessProbe, undefined);
  const probed = decodeDesired(JSON.stringify(state));
  t.equal(probed.pods[0]?.containers[0]?.readinessProbe?.check.kind, 'http');
  t.equal(probed.pods[0]?.containers[0]?.env[0]?.value, 'two\nlines');
});

test('decodeDesired() names the field that is wrong, missing or unknown', async (t) => {
  const { command: _, ...without } = container;
  const cases: [unknown, RegExp][] = [
    [{ ...pod, containers: [without] }, /pods\[0\]\.containers\[0\]\.command: expected a value/],
    [{ ...pod, containers: [{ ...container, image: 'x' }] }, /containers\[0\]\.image/],
    [{ ...pod, labels: ['a'] }, /pods\[0\]\.labels: expected an object/],
    [{ ...pod, labels: { a: 1 } }, /pods\[0\]\.labels/],
    [{ ...pod, podUid: '../../etc' }, /pods\[0\]\.podUid/],
    [{ ...pod, restartPolicy: 'Maybe' }, /pods\[0\]\.restartPolicy/],
    [
      {
        ...pod,
        containers: [{ ...container, livenessProbe: { ...probe, check: { kind: 'exec' } } }],
      },
      /livenessProbe\.check/,
    ],
    [
      { ...pod, containers: [{ ...container, readinessProbe: { ...probe, periodSeconds: 0 } }] },
      /periodSeconds/,
    ],
  ];
  for (const [bad, expected] of cases) t.match(refusal([bad]), expected);
});

test('formatProblem() leads with file and line', async (t) => {
  const problem = {
    file: 'shop.yaml',
    line: 12,
    object: 'Service shop/cart',
    field: '',
    message: 'm',
  };
  t.equal(formatProblem(problem), 'shop.yaml:12: Service shop/cart: m');
  t.equal(formatProblem({ ...problem, line: 0, object: '' }), 'shop.yaml: m');
});
