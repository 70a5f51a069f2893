#!/bin/sh
# Makes the container image of all programs as an OCI archive, without Docker and without root:
#   build-image.sh [--arch amd64|arm64] [--out FILE] [--fresh] [--update]
# --arch    default: that of this machine. The other one is built, not run.
# --out     default: dist/plumbline-VERSION-ARCH.tar; the parts list lies beside it as FILE.cdx.json
# --fresh   makes every layer again instead of taking unchanged ones from the cache
# --update  writes scripts/image/packages.lock anew with Debian's present versions, and ends
# The same sources give the same digest, whoever builds. Needs apt and dpkg (Debian), GNU tar, npm.
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"
use_pinned_node || fail "the pinned Node is not installed; run $ROOT/scripts/install.sh"
for tool in apt-get dpkg-deb tar npm; do
  command -v "$tool" >/dev/null || fail "$tool is not installed"
done
# Loaders of others (coverage, debuggers) are no part of a build.
unset NODE_OPTIONS
exec node --disable-warning=ExperimentalWarning "$ROOT/scripts/image/main.ts" "$@"
