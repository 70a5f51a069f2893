/**
 * Listening sockets of a waypoint: one for each worker and address, shared by SO_REUSEPORT, and one
 * for links under an abstract name.
 */
import { familyOf, formatEndpoint } from '#common/address.ts';
import { MeshError } from '#common/errors.ts';
import { errnoName } from '#common/sys/constants.ts';
import { bind, closeFd, listen, socket } from '#common/sys/libc.ts';
import { setDualStack, setNoDelay, setReusePort } from '#common/sys/socket-options.ts';
import { bindUnix, unixStreamSocket } from '#common/sys/unix-socket.ts';
import type { ListenAddress } from './config.ts';

export function openListener({ address, port }: ListenAddress): number {
  const family = familyOf(address);
  const fd = socket(family);
  let result = fd < 0 ? fd : setReusePort(fd);
  if (result >= 0 && family === 6) result = setDualStack(fd);
  // What is accepted inherits it.
  if (result >= 0) result = setNoDelay(fd);
  if (result >= 0) result = bind(fd, address, port);
  if (result >= 0) result = listen(fd);
  return checked(fd, result, formatEndpoint(address, port));
}

/** `name` begins with a NUL: it is no file, and belongs to the network namespace. */
export function openLinkListener(name: string): number {
  const fd = unixStreamSocket();
  let result = fd < 0 ? fd : bindUnix(fd, name);
  if (result >= 0) result = listen(fd);
  return checked(fd, result, name.replace('\0', '@'));
}

function checked(fd: number, result: number, name: string): number {
  if (result >= 0) return fd;
  if (fd >= 0) closeFd(fd);
  const errno = errnoName(result);
  throw new MeshError('SYSTEM_CALL_FAILED', `Cannot listen at "${name}": ${errno}`, {
    details: { name, errno },
  });
}
