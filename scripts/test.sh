#!/bin/bash
# The whole test line: type check, lint, format check, then the unit, mesh and netns suites.
#
# Installs what is missing. Prints a line for each test file as it ends, and each failure with its
# diagnosis. The last line is `N passed, N failed, N skipped`, summed from tap's own counts; it is
# printed whatever happened, and the exit code is the worst of all steps.
# Without root the netns suite fails: PLUMBLINE_SKIP_NETNS=1 leaves it out, and says so.
set -uo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$ROOT" || exit 1

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
worst=0

# A step that is not a tap run counts as one passed or failed assertion.
check() {
  name=$1
  shift
  say "== $name"
  if "$@"; then printf '# { total: 1, pass: 1 }\n' >"$results/$name.tap"; else
    printf '# { total: 1, fail: 1 }\n' >"$results/$name.tap"
    worst=1
  fi
}

suite() {
  name=$1
  shift
  say "== $name"
  tap --reporter=tap "$@" 2>&1 | tee "$results/$name.tap" |
    node --disable-warning=ExperimentalWarning scripts/tap-lines.ts || worst=1
}

finish() {
  node --disable-warning=ExperimentalWarning scripts/sum-tap.ts "$results"/*.tap || worst=1
  exit "$worst"
}

install() { { ! is_root || (need_packages $PACKAGES); } && (need_modules); }
install || {
  say "cannot install what the tests need"
  echo '0 passed, 1 failed, 0 skipped'
  exit 1
}
use_pinned_node || exit 1

check types tsc
check lint oxlint
check format prettier --check --log-level=warn .

suite unit --disable-coverage --jobs=2 --timeout=120 $(git ls-files 'test/*.test.ts' | grep -vE '^test/(kubernetes|kubernetes-api|mesh|netns)/')
# They wait more than they work: two at a time.
whole='--disable-coverage --jobs=2 --timeout=480 --fail-skip'
if [ -n "$(git ls-files 'test/mesh/*.test.ts')" ]; then suite mesh $whole $(git ls-files 'test/mesh/*.test.ts'); fi
if [ "${PLUMBLINE_SKIP_NETNS:-}" = 1 ]; then
  say '== netns: left out, as PLUMBLINE_SKIP_NETNS=1 asks'
elif is_root; then
  suite netns $whole $(git ls-files 'test/netns/*.test.ts')
else
  say '== netns: FAILED: needs root for network namespaces; PLUMBLINE_SKIP_NETNS=1 leaves it out'
  printf '# { total: 1, fail: 1 }\n' >"$results/netns.tap"
  worst=1
fi
finish
