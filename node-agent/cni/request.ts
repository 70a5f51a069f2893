/** What the CNI plugin writes and reads. Pure: text in, text out. */

export interface CniRequest {
  readonly namespace: string;
  readonly name: string;
  /** Of a static pod it is another than that of its record: no API server knows it. */
  readonly uid: string;
  /** As the runtime sees it. */
  readonly netns: string;
  /** Nobody waits for an answer: the pod has started without proof, as its namespace allows. */
  readonly hasPassed: boolean;
}

/** Reads a request; undefined while it is not all there, or when nobody waits for it any more. */
export function parseRequest(text: string): CniRequest | undefined {
  const found =
    /^namespace ([^\n]*)\nname ([^\n]*)\nuid ([^\n]*)\nnetns ([^\n]*)\nend\n(passed\n)?$/.exec(
      text,
    );
  if (found === null) return undefined;
  const [, namespace = '', name = '', uid = '', netns = '', passed] = found;
  return { namespace, name, uid, netns, hasPassed: passed !== undefined };
}

export type Answer = { readonly kind: 'ok' } | { readonly kind: 'fail'; readonly reason: string };

const LONGEST_REASON = 500;

/** Spells an answer as the one line that the plugin puts, as it is, between the quotes of JSON. */
export function spellAnswer(answer: Answer): string {
  if (answer.kind === 'ok') return 'ok\n';
  const text = answer.reason.replaceAll(/[\\"\p{Cc}]/gu, "'").slice(0, LONGEST_REASON);
  return `fail ${text}\n`;
}

/** Whether the uid is one that kubelet makes of the file of a static pod. */
export function isStaticUid(uid: string): boolean {
  return /^[0-9a-f]{32}$/.test(uid);
}
