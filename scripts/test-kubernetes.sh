#!/bin/bash
# Runs the scenarios of test/kubernetes in a real cluster of two nodes that it starts and ends.
#
#   test-kubernetes.sh [--long] [SCENARIO...]     --long: ten minutes of load, two minutes of outage
#
# Needs root. Installs and builds what is missing (docs/testbed.md). The last line is
# `N passed, N failed, N skipped`, printed whatever happened; the exit code says the same.
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$ROOT" || exit 1
export TESTBED_NAME=${TESTBED_NAME:-plumtest} TESTBED_LONG=0
if [ "${1:-}" = --long ]; then
  TESTBED_LONG=1
  shift
fi
# Each can run alone; in this order the first one finds a cluster without the mesh and the last one leaves one.
scenarios=(testbed install shop join-leave mutual-tls policy probes rolling-restart agent-upgrade node-reboot
  controller-failover api-server-away cni-gate uninstall)
[ $# -eq 0 ] || scenarios=("$@")

results=$(mktemp -d)
finish() {
  ./scripts/testbed/cluster.sh down
  # A run that ended early counts as one failed test.
  ls "$results"/*.tap >/dev/null 2>&1 || : >"$results/none.tap"
  node --disable-warning=ExperimentalWarning scripts/sum-tap.ts "$results"/*.tap
  local status=$?
  rm -rf "$results"
  exit "$status"
}

is_root || fail 'the test cluster needs root'
# shellcheck disable=SC2086
(need_packages $PACKAGES) && (need_modules) || exit 1
use_pinned_node || exit 1
trap finish EXIT
trap 'exit 1' INT TERM HUP

# What a run before this one left, if somebody killed it.
./scripts/testbed/cluster.sh down
say '== cluster'
./scripts/testbed/cluster.sh up 2 || exit 1
if [ -x scripts/build-image.sh ]; then
  say '== image'
  ./scripts/build-image.sh --out "$results/plumbline.tar" && ./scripts/testbed/cluster.sh load "$results/plumbline.tar" || exit 1
fi
say '== scenarios'
for scenario in "${scenarios[@]}"; do
  ./scripts/testbed/cluster.sh in cp tap --reporter=tap --disable-coverage --jobs=1 --timeout=1200 --fail-skip \
    "test/kubernetes/$scenario.test.ts" 2>&1 |
    tee "$results/$scenario.tap" | node --disable-warning=ExperimentalWarning scripts/tap-lines.ts
done
exit
