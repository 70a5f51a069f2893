/**
 * Where a session writes: the stage of its transport.
 *
 * `reserve` gives a place for that many bytes in `bytes`, which may be another buffer after each
 * call; `commit` says how many of them count. Between the two nobody else may reserve. What has been
 * committed leaves in order, when the loop pass ends or earlier.
 */
export interface Outlet {
  readonly bytes: Buffer;
  reserve(length: number): number;
  commit(length: number): void;
  /** The transport is behind: no DATA until it says otherwise; other frames are still taken. */
  readonly blocked: boolean;
}
