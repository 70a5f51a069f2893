/**
 * What the exit code of `plumb` says, so that scripts need not read text.
 *
 * A code keeps its meaning; docs/cli.md has the table.
 */
import { hasCode } from '#common/errors.ts';

/** Done, and the answer is good. */
export const EXIT_OK = 0;
/** Done, and the answer is bad: a pod unproven, a call that would be refused, a claim not observed. */
export const EXIT_BAD_ANSWER = 1;
/** The question is wrong: flags, YAML, a name that does not exist. */
export const EXIT_BAD_INPUT = 2;
/** No mesh is running, or a program of it gives no answer. */
export const EXIT_UNREACHABLE = 3;
/** This machine lacks a privilege or a program that is needed. */
export const EXIT_NOT_ABLE = 4;
/** Something that should not happen; the message says what. */
export const EXIT_FAILURE = 70;

/** The exit code for an error that ended a command. */
export function exitCodeOf(error: unknown): number {
  if (hasCode(error, 'OBJECT_INVALID') || hasCode(error, 'CONFIG_INVALID')) return EXIT_BAD_INPUT;
  if (hasCode(error, 'AGENT_UNREACHABLE') || hasCode(error, 'CONTROLLER_UNREACHABLE')) {
    return EXIT_UNREACHABLE;
  }
  if (hasCode(error, 'SYSTEM_CALL_FAILED')) return EXIT_NOT_ABLE;
  return EXIT_FAILURE;
}
