# Shared by the scripts beside it: finds the pinned Node, installs what is missing on Debian.
# Sourced, never run; leaves ROOT set to the checkout and the pinned Node first in PATH.

ROOT=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
# The scripts of scripts/testbed are one folder further in.
[ -f "$ROOT/package.json" ] || ROOT=$(dirname "$ROOT")
NODE_FLOOR=26.10
# What the mesh calls, and a library that the pinned Node needs.
PACKAGES='iptables iproute2 ipset procps libatomic1'

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$0: $*"
  exit 1
}

arch() {
  case $(uname -m) in
    x86_64) echo x64 ;;
    aarch64 | arm64) echo arm64 ;;
    *) fail "unsupported machine \"$(uname -m)\"; expected x86_64 or aarch64" ;;
  esac
}

# Puts the Node of the lock file first in PATH; says what to do when it is not there.
use_pinned_node() {
  bin="$ROOT/node_modules/node-linux-$(arch)/bin"
  [ -x "$bin/node" ] || return 1
  PATH="$bin:$ROOT/node_modules/.bin:$PATH"
  # As trusted as the packages beside it: no other user may write there. See fill-compile-cache.ts.
  NODE_COMPILE_CACHE="$ROOT/node_modules/.compile-cache"
  export PATH NODE_COMPILE_CACHE
  node --version >/dev/null || fail "the pinned Node does not start; on Debian it needs: apt-get install libatomic1"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 26 || (a === 26 && b >= 10) ? 0 : 1)' ||
    fail "Node $(node --version) is older than $NODE_FLOOR; run scripts/install.sh"
}

is_root() { [ "$(id -u)" = 0 ]; }

# Installs Debian packages that are not there; needs root and apt.
need_packages() {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  is_root || fail "these packages are missing and only root can install them:$missing"
  command -v apt-get >/dev/null || fail "these programs are missing and there is no apt-get to install them:$missing"
  say "installing:$missing"
  export DEBIAN_FRONTEND=noninteractive
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    { apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
    fail "apt-get could not install:$missing"
}

# Installs the npm packages of the lock file, the pinned Node among them.
need_modules() {
  stamp="$ROOT/node_modules/.plumbline-lock"
  if use_pinned_node && [ -f "$stamp" ] && cmp -s "$stamp" "$ROOT/package-lock.json"; then return 0; fi
  command -v npm >/dev/null || need_packages npm
  say "installing npm packages"
  # No install script is needed: koffi ships its binary, Node is a package like any other.
  (cd "$ROOT" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) ||
    fail "npm ci failed in $ROOT"
  use_pinned_node ||
    fail "npm did not install node-linux-$(arch), an optional dependency; is the registry reachable? Try: npm ci --include=optional"
  (cd "$ROOT" && node --disable-warning=ExperimentalWarning scripts/fill-compile-cache.ts) ||
    say 'the compile cache could not be filled; programs start more slowly'
  cp "$ROOT/package-lock.json" "$stamp"
}
