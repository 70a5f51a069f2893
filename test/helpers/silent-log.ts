/** A logger that says nothing, for tests that look at other things. */
import type { Logger } from '#common/log.ts';

export const silent: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silent,
};
