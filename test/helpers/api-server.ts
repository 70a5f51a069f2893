/**
 * A real kube-apiserver on a real etcd, without nodes: both on ports of their own on the loopback
 * address, with state in a temporary directory. Ready after some seconds.
 *
 * The programs are those of the test bed: `PLUMB_TESTBED`, or the test bed's cache, must hold
 * `kubernetes-<version>/kube-apiserver` and `etcd-<version>/etcd`. Callers ask `findPrograms` first
 * and skip without them. Whoever calls is `system:masters`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { globSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiClient, loadKubeConfig } from '../../controller/kube/api-client.ts';
import type { Resource } from '../../controller/kube/resource.ts';
import { eventually } from './program.ts';

export interface Programs {
  readonly apiserver: string;
  readonly etcd: string;
}

const READY_MS = 180_000;

export const PODS: Resource = { group: '', version: 'v1', plural: 'pods' };
export const SERVICES: Resource = { group: '', version: 'v1', plural: 'services' };
export const NAMESPACES: Resource = { group: '', version: 'v1', plural: 'namespaces' };

/** The newest of each in the test bed's cache, or undefined when it was not built. */
export function findPrograms(): Programs | undefined {
  const caches = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const bed =
    process.env['PLUMB_TESTBED'] ?? process.env['TESTBED_CACHE'] ?? join(caches, 'mesh-testbed');
  const newest = (pattern: string): string | undefined =>
    globSync(join(bed, pattern)).toSorted().at(-1);
  const apiserver = newest('kubernetes-*/kube-apiserver');
  const etcd = newest('etcd-*/etcd');
  return apiserver === undefined || etcd === undefined ? undefined : { apiserver, etcd };
}

export interface StoreOptions {
  /** Further flags of every API server on this store. */
  readonly flags?: readonly string[];
}

/** An etcd, and what API servers on it share: several may run at once. */
export class KubeStore {
  readonly directory: string;
  readonly #programs: Programs;
  readonly #flags: readonly string[];
  readonly #etcdPort: number;
  readonly #etcd: ChildProcess;
  readonly #servers: ApiServer[] = [];

  private constructor(
    directory: string,
    programs: Programs,
    ports: { etcd: number; peer: number },
    options: StoreOptions,
  ) {
    this.directory = directory;
    this.#programs = programs;
    this.#flags = options.flags ?? [];
    this.#etcdPort = ports.etcd;
    const [client, peer] = [`http://127.0.0.1:${ports.etcd}`, `http://127.0.0.1:${ports.peer}`];
    const log = openSync(join(directory, 'etcd.log'), 'a');
    this.#etcd = spawn(
      programs.etcd,
      [
        `--data-dir=${directory}/etcd`,
        '--unsafe-no-fsync',
        '--log-level=warn',
        `--listen-client-urls=${client}`,
        `--advertise-client-urls=${client}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=default=${peer}`,
        '--quota-backend-bytes=8589934592',
      ],
      { stdio: ['ignore', log, log] },
    );
  }

  static async start(programs: Programs, options: StoreOptions = {}): Promise<KubeStore> {
    const directory = await mkdtemp(join(tmpdir(), 'plumb-api-'));
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const publicPem = createPublicKey(createPrivateKey(pem)).export({
      type: 'spki',
      format: 'pem',
    });
    await writeFile(join(directory, 'sa.key'), pem);
    await writeFile(join(directory, 'sa.pub'), publicPem);
    await writeFile(join(directory, 'tokens.csv'), 'admin-token,admin,1,system:masters\n');
    const [etcd, peer] = [await freePort(), await freePort()];
    return new KubeStore(directory, programs, { etcd, peer }, options);
  }

  /** Starts another API server and waits until it is ready. */
  async serve(): Promise<ApiServer> {
    const server = new ApiServer({
      program: this.#programs.apiserver,
      directory: this.directory,
      etcdPort: this.#etcdPort,
      port: await freePort(),
      flags: this.#flags,
    });
    this.#servers.push(server);
    await server.start();
    return server;
  }

  /** Throws away the history up to now, so that watches from before it cannot be served. */
  async compact(): Promise<void> {
    const { header } = await this.#ask<{ header: { revision: string } }>('/v3/maintenance/status');
    await this.#ask('/v3/kv/compaction', { revision: header.revision, physical: true });
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) await server.stop();
    await end(this.#etcd, 'SIGKILL');
    await rm(this.directory, { recursive: true, force: true });
  }

  async #ask<T>(path: string, body: unknown = {}): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${this.#etcdPort}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`etcd ${path}: ${answer.status} ${await answer.text()}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- etcd's own form
    return (await answer.json()) as T;
  }
}

interface ServerOptions {
  readonly program: string;
  readonly directory: string;
  readonly etcdPort: number;
  readonly port: number;
  readonly flags: readonly string[];
}

/** One API server; `stop` and `start` restart it at the same address. */
export class ApiServer {
  readonly kubeconfig: string;
  readonly #options: ServerOptions;
  readonly #certificates: string;
  #child: ChildProcess | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    this.#certificates = join(options.directory, `certificates-${options.port}`);
    this.kubeconfig = join(options.directory, `kubeconfig-${options.port}`);
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** A client of its own, for the test. */
  client(): ApiClient {
    return new ApiClient(loadKubeConfig(this.kubeconfig));
  }

  async start(): Promise<void> {
    const { program, directory, etcdPort, port, flags } = this.#options;
    const log = openSync(join(directory, `apiserver-${port}.log`), 'a');
    const child = spawn(
      program,
      [
        `--etcd-servers=http://127.0.0.1:${etcdPort}`,
        '--bind-address=127.0.0.1',
        '--advertise-address=192.0.2.1',
        '--endpoint-reconciler-type=none',
        `--secure-port=${port}`,
        `--cert-dir=${this.#certificates}`,
        '--service-cluster-ip-range=10.96.0.0/12',
        `--token-auth-file=${directory}/tokens.csv`,
        `--service-account-key-file=${directory}/sa.pub`,
        `--service-account-signing-key-file=${directory}/sa.key`,
        '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
        '--authorization-mode=RBAC',
        '--disable-admission-plugins=ServiceAccount',
        ...flags,
      ],
      { stdio: ['ignore', log, log] },
    );
    this.#child = child;
    try {
      await eventually(
        'the certificate of the API server',
        async () => this.#writeConfig(),
        60_000,
      );
      const client = this.client();
      await eventually('the API server is ready', async () => isReady(client, child), READY_MS);
      client.close();
    } catch (error) {
      const tail = readFileSync(join(directory, `apiserver-${port}.log`), 'utf8').slice(-2000);
      throw new Error(`the API server did not start: ${tail}`, { cause: error });
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child !== undefined) await end(this.#child, signal);
  }

  /** Makes it stand still; resolves when each of its threads does. */
  async freeze(): Promise<void> {
    process.kill(this.pid, 'SIGSTOP');
    await eventually('all threads stand still', async () => {
      const states = globSync(`/proc/${this.pid}/task/*/stat`).map((path) =>
        readFileSync(path, 'utf8')
          .replace(/^.*\) /s, '')
          .charAt(0),
      );
      if (!states.every((state) => state === 'T')) throw new Error(states.join(''));
    });
  }

  thaw(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  async #writeConfig(): Promise<void> {
    const ca = readFileSync(join(this.#certificates, 'apiserver.crt'));
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'test',
          cluster: {
            server: `https://127.0.0.1:${this.#options.port}`,
            'certificate-authority-data': ca.toString('base64'),
          },
        },
      ],
      users: [{ name: 'admin', user: { token: 'admin-token' } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      'current-context': 'test',
    };
    await writeFile(this.kubeconfig, JSON.stringify(config));
  }
}

async function isReady(client: ApiClient, child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
  await client.list(NAMESPACES, { timeoutMs: 2000 });
  const found = await client.get(NAMESPACES, { name: 'default' }, { timeoutMs: 2000 });
  if (found === undefined) throw new Error('no namespace "default" yet');
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill(signal);
  await exit;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
