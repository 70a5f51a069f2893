/** What the scale benches say to their controller, and what it answers. */
import type { WorldSize } from '../control/world.ts';

export const CONTROL_PORT = 15_012;
export const NODES = ['node-a', 'node-b'] as const;

export type Order =
  | { readonly order: 'start'; readonly directory: string; readonly size: WorldSize }
  | { readonly order: 'policies'; readonly count: number }
  | { readonly order: 'flip'; readonly pod: number; readonly ready: boolean };

/** The version in which the order is fulfilled, and when it was given (CLOCK_MONOTONIC). */
export interface Answer {
  readonly version: number;
  readonly atNs: string;
}
