/** Reads which addresses a network namespace has, through a socket that is made inside. */
import { MeshError } from '#common/errors.ts';
import { errnoName } from '#common/sys/constants.ts';
import { closeFd } from '#common/sys/libc.ts';
import { inNetns } from '#common/sys/netns.ts';
import { openNetlink, receiveBytes, sendBytes } from '#common/sys/raw-sockets.ts';
import { addressesRequest, parseAddresses } from './address-messages.ts';

const NETLINK_ROUTE = 0;
/** Of some kilobytes each: no pod has so many addresses. */
const MOST_REPLIES = 16;

/** The kernel answers while it is asked, so nothing here waits. */
export function readAddresses(netns: number): readonly string[] {
  const fd = inNetns(netns, () => openNetlink(NETLINK_ROUTE));
  if (fd < 0) throw unread(fd);
  try {
    const sent = sendBytes(fd, addressesRequest());
    if (sent < 0) throw unread(sent);
    const all: string[] = [];
    for (let i = 0; i < MOST_REPLIES; i += 1) {
      const bytes = receiveBytes(fd);
      if (typeof bytes === 'number') throw unread(bytes);
      const { addresses, isLast, error } = parseAddresses(bytes);
      if (error < 0) throw unread(error);
      all.push(...addresses);
      if (isLast) break;
    }
    return all;
  } finally {
    closeFd(fd);
  }
}

function unread(errno: number): MeshError {
  const found = errnoName(errno);
  return new MeshError('NETNS_NOT_FOUND', `Cannot read the addresses of a namespace: ${found}`);
}
