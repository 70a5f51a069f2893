#!/bin/sh
# Installs what Plumbline needs on a Debian machine: iptables, iproute2, ipset, and the npm packages
# of the lock file with the pinned Node. Does nothing where all is there already.
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"
# shellcheck disable=SC2086
need_packages $PACKAGES
need_modules
