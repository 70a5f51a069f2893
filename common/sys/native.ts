/**
 * The two ways from TypeScript into libc and OpenSSL, and the address of a buffer.
 *
 * koffi takes addresses as plain numbers and is cheap, but C that it calls must never call back:
 * it runs on a stack of koffi's own, and V8 aborts. Such calls, and the callbacks themselves, go
 * through `node:ffi`. Symbols are those of the Node binary and of what it is linked with. A wrong
 * signature crashes the process, so each symbol is declared once and called in a test.
 */
import { dlopen, getRawPointer, toArrayBuffer } from 'node:ffi';
import koffi from 'koffi';

type CType = 'int' | 'uint' | 'long' | 'ulong' | 'size_t' | 'uint64_t' | 'uintptr_t';

const library = koffi.load(null);

/** Declares a C function that takes and returns integers and addresses only. */
export function declare<const P extends readonly CType[]>(
  name: string,
  result: CType | 'void',
  parameters: P,
): (...values: { [K in keyof P]: number }) => number {
  return library.func(name, result, [...parameters]);
}

/** Declares a C function that returns a constant string, or NULL as null. */
export function declareText(
  name: string,
  parameters: readonly CType[],
): (...values: number[]) => string | null {
  return library.func(name, 'str', [...parameters]);
}

/** Declares a C function for calls that block: they run on a thread of libuv's pool. */
export function declareBlocking(
  name: string,
  parameters: readonly CType[],
): (...values: number[]) => Promise<number> {
  const call = library.func(name, 'int', [...parameters]);
  return async (...values) => {
    const done = Promise.withResolvers<number>();
    call.async(...values, (error: unknown, result: number) => {
      if (error instanceof Error) done.reject(error);
      else done.resolve(result);
    });
    return done.promise;
  };
}

const errnoAddress = declare('__errno_location', 'uintptr_t', [])();
/** This thread's errno; each worker has its own copy of this module. */
const errno = new Int32Array(toArrayBuffer(BigInt(errnoAddress), 4, false));

/** Turns -1 into -errno. It must be called at once: any other call may change errno. */
export function orErrno(result: number): number {
  return result < 0 ? -(errno[0] ?? 0) : result;
}

/** Where the bytes of a view are. An address keeps nothing alive: hold on to the view as well. */
export function rawAddress(view: NodeJS.ArrayBufferView): number {
  return Number(getRawPointer(view));
}

/** Opens the process image for `node:ffi`: for functions that call back, and for callbacks. */
export const openImage = dlopen;
