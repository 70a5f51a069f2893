/**
 * Asks the API server who a bearer token is, and what somebody may do: TokenReview and
 * SubjectAccessReview.
 *
 * The answer is read strictly where it counts: whatever is missing reads as a refusal.
 */
import type { ApiClient } from './api-client.ts';
import type { Resource } from './resource.ts';

const TOKEN_REVIEWS: Resource = {
  group: 'authentication.k8s.io',
  version: 'v1',
  plural: 'tokenreviews',
};
const ACCESS_REVIEWS: Resource = {
  group: 'authorization.k8s.io',
  version: 'v1',
  plural: 'subjectaccessreviews',
};

/** Somebody whom the API server knows. */
export interface Subject {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** Such as `authentication.kubernetes.io/node-name`, for tokens that are bound. */
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** What of our programs asks of an API server about callers. */
export interface Reviewer {
  /** Resolves with whose token it is, undefined when it is nobody's; rejects without an answer. */
  whoIs(token: string, audience: string): Promise<Subject | undefined>;
  /** Says whether the subject may do this to a path such as `/v1/workloads`. */
  mayCall(subject: Subject, verb: string, path: string): Promise<boolean>;
}

interface TokenReview {
  readonly status?: {
    readonly authenticated?: boolean;
    readonly audiences?: readonly string[];
    readonly user?: Partial<Subject>;
  };
}

interface AccessReview {
  readonly status?: { readonly allowed?: boolean; readonly denied?: boolean };
}

export class Reviews implements Reviewer {
  readonly #api: ApiClient;

  constructor(api: ApiClient) {
    this.#api = api;
  }

  async whoIs(token: string, audience: string): Promise<Subject | undefined> {
    const { status } = await this.#api.create<TokenReview>(TOKEN_REVIEWS, undefined, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [audience] },
    });
    // A server that knows no audiences would answer without any.
    if (status?.authenticated !== true || status.audiences?.includes(audience) !== true) {
      return undefined;
    }
    const { username = '', uid = '', groups = [], extra = {} } = status.user ?? {};
    return username === '' ? undefined : { username, uid, groups, extra };
  }

  async mayCall(subject: Subject, verb: string, path: string): Promise<boolean> {
    const { username, uid, groups, extra } = subject;
    const { status } = await this.#api.create<AccessReview>(ACCESS_REVIEWS, undefined, {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: username, uid, groups, extra, nonResourceAttributes: { verb, path } },
    });
    return status?.allowed === true && status.denied !== true;
  }
}
