#!/bin/sh
# The whole mesh on this machine, shown claim by claim with evidence; removes all it made.
#
# Installs what is missing (as root, on Debian), then runs `plumb up examples/shop --tour`. Without
# root it uses an unprivileged user namespace, where what is needed must be installed already.
# Exit code 0 only if every claim was observed.
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$ROOT"

if is_root; then
  need_packages $PACKAGES
else
  for program in iptables-restore ip6tables-restore ip unshare sysctl; do
    PATH="$PATH:/usr/sbin:/sbin"
    command -v "$program" >/dev/null || fail "without root, $program must be installed already: apt-get install $PACKAGES"
  done
fi
need_modules

if is_root; then exec "$ROOT/scripts/plumb" up examples/shop --tour; fi

unshare -Urnm true 2>/dev/null || fail "this kernel lets no unprivileged user make namespaces.
Run as root, or allow it: sysctl user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0"
say 'no root: running in a user namespace of its own'
# The memory file system on /run is for ip netns and the lock of iptables.
exec unshare -Urnm sh -c 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$0" up examples/shop --tour' "$ROOT/scripts/plumb"
