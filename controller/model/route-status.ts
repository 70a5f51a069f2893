/**
 * What is said to the author of a route, for each parent that it names.
 *
 * A condition is never bare: its message names the field and what was found, so nobody has to guess
 * which of many rules is meant. Times are put in by whoever writes the status.
 */
import type { ParentRef } from './route-objects.ts';

export const CONTROLLER_NAME = 'plumbline.dev/controller';

export type Reason =
  | 'Accepted'
  | 'ResolvedRefs'
  | 'Conflicted'
  | 'NoMatchingParent'
  | 'NotAllowedByListeners'
  | 'NoMatchingListenerHostname'
  | 'UnsupportedValue'
  | 'BackendNotFound'
  | 'InvalidKind'
  | 'RefNotPermitted'
  | 'UnsupportedProtocol';

export interface Condition {
  readonly type: 'Accepted' | 'ResolvedRefs' | 'PartiallyInvalid';
  readonly status: 'True' | 'False';
  readonly reason: Reason;
  readonly message: string;
  readonly observedGeneration: number;
}

export interface ParentStatus {
  readonly parent: ParentRef;
  readonly controllerName: typeof CONTROLLER_NAME;
  readonly conditions: readonly Condition[];
}

/** Something wrong with one field of a route. */
export interface Fault {
  /** `rules[0].backendRefs[1].port`. */
  readonly field: string;
  readonly reason: Reason;
  readonly message: string;
}

/** Whether a parent takes a route: `message` says why not, or what of it is left out. */
export interface Attachment {
  readonly accepted: boolean;
  readonly reason: Reason;
  readonly message: string;
}

export const ATTACHED: Attachment = { accepted: true, reason: 'Accepted', message: '' };

/** A message is shown in a column and kept in the API server. */
const SHOWN_MAX = 4;

export function statusOf(
  parent: ParentRef,
  generation: number,
  found: {
    readonly attachment: Attachment;
    /** Rules that were left out, while others are good. */
    readonly dropped: readonly Fault[];
    readonly references: readonly Fault[];
  },
): ParentStatus {
  const { attachment, dropped, references } = found;
  const condition = (
    type: Condition['type'],
    isTrue: boolean,
    reason: Reason,
    message: string,
  ): Condition => ({
    type,
    status: isTrue ? 'True' : 'False',
    reason,
    message,
    observedGeneration: generation,
  });
  const [reference] = references;
  const conditions = [
    condition('Accepted', attachment.accepted, attachment.reason, attachment.message),
    condition(
      'ResolvedRefs',
      reference === undefined,
      reference?.reason ?? 'ResolvedRefs',
      sentence(references),
    ),
  ];
  if (dropped.length > 0 && attachment.accepted) {
    const message = `Dropped Rule: ${sentence(dropped)}`;
    conditions.push(condition('PartiallyInvalid', true, 'UnsupportedValue', message));
  }
  return { parent, controllerName: CONTROLLER_NAME, conditions };
}

/** Puts faults into one line. */
export function sentence(faults: readonly Fault[]): string {
  const shown = faults.slice(0, SHOWN_MAX).map(({ field, message }) => `${field}: ${message}`);
  const more = faults.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}

export function refused(reason: Reason, message: string): Attachment {
  return { accepted: false, reason, message };
}
