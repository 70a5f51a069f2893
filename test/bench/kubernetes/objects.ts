/**
 * Objects of the size that real clusters have: a pod is about 7 KB of JSON once the API server has
 * added its own fields, with the environment, probes, volumes and statuses that the mesh never reads.
 */
export interface Size {
  readonly pods: number;
  readonly services: number;
  readonly nodes: number;
  readonly namespaces: number;
}

export interface Made {
  readonly namespace: string;
  readonly name: string;
  readonly body: object;
}

export interface MadePod extends Made {
  readonly status: object;
}

export function nodeBody(i: number): object {
  return {
    metadata: {
      name: `node-${i}`,
      labels: {
        'kubernetes.io/hostname': `node-${i}`,
        'topology.kubernetes.io/region': 'eu-central-1',
        'topology.kubernetes.io/zone': `eu-central-1${'abc'[i % 3]}`,
        'node.kubernetes.io/instance-type': 'm6i.4xlarge',
      },
    },
    spec: { podCIDR: `10.${128 + (i >> 8)}.${i & 255}.0/24` },
  };
}

export function namespaceBody(i: number): object {
  return {
    metadata: { name: `team-${i}`, labels: { 'plumbline.dev/dataplane-mode': 'ambient' } },
  };
}

export function makeService(i: number, size: Size): { service: Made; slice: Made } {
  const namespace = `team-${i % size.namespaces}`;
  const name = `service-${i}`;
  const pods = podsOf(i, size);
  return {
    service: {
      namespace,
      name,
      body: {
        metadata: { name, labels: { app: name, team: namespace } },
        spec: {
          selector: { app: name },
          ports: [
            { name: 'http', port: 80, targetPort: 'http' },
            { name: 'metrics', port: 9090, targetPort: 'metrics' },
          ],
        },
      },
    },
    slice: {
      namespace,
      name: `${name}-abcde`,
      body: {
        metadata: {
          name: `${name}-abcde`,
          labels: {
            'kubernetes.io/service-name': name,
            'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          },
        },
        addressType: 'IPv4',
        ports: [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { name: 'metrics', port: 9090, protocol: 'TCP' },
        ],
        endpoints: pods.map((pod) => ({
          addresses: [addressOf(pod)],
          conditions: { ready: true, serving: true, terminating: false },
          nodeName: `node-${pod % size.nodes}`,
          zone: `eu-central-1${'abc'[(pod % size.nodes) % 3]}`,
          targetRef: { kind: 'Pod', namespace, name: podName(pod, i), uid: uidOf(pod) },
        })),
      },
    },
  };
}

export function makePod(pod: number, size: Size): MadePod {
  const service = pod % size.services;
  const namespace = `team-${service % size.namespaces}`;
  const name = podName(pod, service);
  const app = `service-${service}`;
  const hash = hashOf(service);
  return {
    namespace,
    name,
    body: {
      metadata: {
        name,
        labels: {
          app,
          team: namespace,
          version: 'v1',
          'app.kubernetes.io/name': app,
          'app.kubernetes.io/part-of': `suite-${service % 50}`,
          'app.kubernetes.io/managed-by': 'Helm',
          'pod-template-hash': hash,
        },
        annotations: {
          'checksum/config': `${hash}${'0123456789abcdef'.repeat(3)}`,
          'prometheus.io/scrape': 'true',
          'prometheus.io/port': '9090',
        },
        ownerReferences: [
          {
            apiVersion: 'apps/v1',
            kind: 'ReplicaSet',
            name: `${app}-${hash}`,
            uid: uidOf(service),
            controller: true,
            blockOwnerDeletion: true,
          },
        ],
      },
      spec: {
        nodeName: `node-${pod % size.nodes}`,
        serviceAccountName: app,
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 0,
        containers: [container(app, 'app', 8080, 4), container(app, 'exporter', 9090, 0)],
        volumes: [
          { name: 'config', configMap: { name: `${app}-config` } },
          { name: 'cache', emptyDir: { sizeLimit: '1Gi' } },
        ],
      },
    },
    status: statusOf(pod, app),
  };
}

function container(app: string, name: string, port: number, variables: number): object {
  const probe = {
    httpGet: { path: '/healthz', port, scheme: 'HTTP' },
    periodSeconds: 10,
    timeoutSeconds: 2,
    failureThreshold: 3,
  };
  return {
    name,
    image: `registry.example.com/${app}/${name}:1.42.7@sha256:${'0123456789abcdef'.repeat(4)}`,
    ports: [{ name: name === 'app' ? 'http' : 'metrics', containerPort: port, protocol: 'TCP' }],
    env: Array.from({ length: variables }, (_, i) => ({
      name: `SETTING_${i}_OF_${name.toUpperCase()}`,
      value: `https://settings.example.com/${app}/${i}`,
    })),
    resources: {
      requests: { cpu: '100m', memory: '128Mi' },
      limits: { cpu: '1', memory: '512Mi' },
    },
    volumeMounts: [
      { name: 'config', mountPath: '/etc/app', readOnly: true },
      { name: 'cache', mountPath: '/var/cache/app' },
    ],
    ...(name === 'app' ? { readinessProbe: probe } : {}),
  };
}

function statusOf(pod: number, app: string): object {
  const time = '2026-01-31T12:00:00Z';
  const conditions = ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'];
  return {
    phase: 'Running',
    hostIP: '10.0.0.1',
    podIP: addressOf(pod),
    podIPs: [{ ip: addressOf(pod) }],
    startTime: time,
    qosClass: 'Burstable',
    conditions: conditions.map((type) => ({ type, status: 'True', lastTransitionTime: time })),
    containerStatuses: ['app', 'exporter'].map((name) => ({
      name,
      ready: true,
      started: true,
      restartCount: 0,
      image: `registry.example.com/${app}/${name}:1.42.7`,
      imageID: `registry.example.com/${app}/${name}@sha256:${'0123456789abcdef'.repeat(4)}`,
      containerID: `containerd://${'0123456789abcdef'.repeat(4)}`,
      state: { running: { startedAt: time } },
    })),
  };
}

function podsOf(service: number, size: Size): number[] {
  const pods: number[] = [];
  for (let pod = service; pod < size.pods; pod += size.services) pods.push(pod);
  return pods;
}

function podName(pod: number, service: number): string {
  return `service-${service}-${hashOf(service)}-${(pod * 7919).toString(36).padStart(5, '0')}`;
}

function hashOf(service: number): string {
  return (service * 2_654_435_761).toString(36).slice(0, 9).padStart(9, 'x');
}

function uidOf(i: number): string {
  return `00000000-0000-4000-8000-${i.toString(16).padStart(12, '0')}`;
}

function addressOf(pod: number): string {
  return `10.${128 + (pod >> 16)}.${(pod >> 8) & 255}.${pod & 255}`;
}
