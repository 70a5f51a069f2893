/**
 * One Lease object: read whole, and replaced only as it was read. Nothing is decided here.
 */
import { statusOf, type ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const LEASES: Resource = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };

/** Who holds the lease, as it is written there. */
export interface LeaseRecord {
  /** '' when it has been given back. */
  readonly holder: string;
  readonly durationSeconds: number;
  /** When it was acquired and renewed, by the holder's clock: for people, and to see that it changed. */
  readonly acquireTime: string;
  readonly renewTime: string;
  readonly transitions: number;
}

export interface StoredLease {
  readonly record: LeaseRecord;
  readonly revision: string;
}

/** What an election needs of the place where its lease is. */
export interface LeaseStore {
  read(signal: AbortSignal): Promise<StoredLease | undefined>;
  /** Resolves with undefined when the lease is no longer as it was read; `before` undefined: none. */
  write(
    record: LeaseRecord,
    before: StoredLease | undefined,
    signal: AbortSignal,
  ): Promise<StoredLease | undefined>;
}

interface LeaseObject {
  readonly metadata?: { readonly resourceVersion?: string };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

const CALL_MS = 5000;

export class KubeLease implements LeaseStore {
  readonly #api: ApiClient;
  readonly #at: { readonly namespace: string; readonly name: string };

  constructor(api: ApiClient, at: { readonly namespace: string; readonly name: string }) {
    this.#api = api;
    this.#at = at;
  }

  async read(signal: AbortSignal): Promise<StoredLease | undefined> {
    const options = { signal, timeoutMs: CALL_MS };
    const found = await this.#api.get<LeaseObject>(LEASES, this.#at, options);
    return found && storedOf(found);
  }

  async write(
    record: LeaseRecord,
    before: StoredLease | undefined,
    signal: AbortSignal,
  ): Promise<StoredLease | undefined> {
    const { namespace, name } = this.#at;
    const body = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, resourceVersion: before?.revision },
      spec: {
        holderIdentity: record.holder,
        leaseDurationSeconds: record.durationSeconds,
        acquireTime: record.acquireTime,
        renewTime: record.renewTime,
        leaseTransitions: record.transitions,
      },
    };
    const options = { signal, timeoutMs: CALL_MS };
    try {
      const written =
        before === undefined
          ? await this.#api.create<LeaseObject>(LEASES, namespace, body, options)
          : await this.#api.replace<LeaseObject>(LEASES, this.#at, body, options);
      return storedOf(written);
    } catch (error) {
      // 404: it was deleted since it was read.
      if ([404, 409].includes(statusOf(error))) return undefined;
      throw error;
    }
  }
}

function storedOf({ metadata, spec }: LeaseObject): StoredLease {
  return {
    record: {
      holder: spec?.holderIdentity ?? '',
      durationSeconds: spec?.leaseDurationSeconds ?? 0,
      acquireTime: spec?.acquireTime ?? '',
      renewTime: spec?.renewTime ?? '',
      transitions: spec?.leaseTransitions ?? 0,
    },
    revision: metadata?.resourceVersion ?? '',
  };
}
