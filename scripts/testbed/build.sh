#!/bin/bash
# Fills the cache with all that a test cluster needs, built from modules and Debian packages.
#
#   build.sh [kubernetes | etcd | coredns | crds | images]...    without argument: all
#
# Installs what is missing (root, Debian). What is in the cache is not built again; an entry appears
# there whole, by rename. A build of Kubernetes on two cores takes about eight minutes, once.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/pins.sh"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=mod -trimpath -buildvcs=false'
SOURCES=$CACHE/sources

progress() { say "$(date +%T) $*"; }

is_new_enough() { [ "$("$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')" -ge "$GO_FLOOR" ] 2>/dev/null; }

# Puts a Go that can build this Kubernetes first in PATH: the machine's, or one that comes as a module.
use_go() {
  local root
  if is_new_enough go; then return; fi
  command -v go >/dev/null || need_packages golang-go
  progress "Go $GO_TOOLCHAIN, as $(go env GOVERSION) is too old"
  root=$(cd / && GOFLAGS='' go mod download -json "golang.org/toolchain@v0.0.1-go$GO_TOOLCHAIN.linux-$(go env GOARCH)" |
    sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
  # A module holds neither execute bits nor a go.mod below its top.
  chmod -R u+w "$root"
  chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
  [ -e "$root/src/go.mod" ] || cp "$root/src/_go.mod" "$root/src/go.mod"
  export GOROOT=$root PATH="$root/bin:$PATH"
  is_new_enough go || fail "the module golang.org/toolchain gave no usable Go in $root"
}

# Says that it is still at work while a long step runs, for whoever reads the log of a CI.
patiently() {
  local job seconds=0
  "$@" &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 1
    seconds=$((seconds + 1))
    [ $((seconds % 30)) -ne 0 ] || progress "  still at it after $seconds s"
  done
  wait "$job"
}

compile() { patiently nice -n 10 go build -p "${JOBS:-$(nproc)}" "$@"; }

# Changes to an empty main module that requires one other: NAME VERSION MODULE.
require() {
  mkdir -p "$SOURCES/$1-$2"
  cd "$SOURCES/$1-$2"
  rm -f go.mod go.sum
  { go mod init "testbed.local/$1" && go get "$3@v$2"; } >log 2>&1 || { cat log >&2; return 1; }
}

# What the Kubernetes programs say of their version; without it they call themselves v0.0.0.
version_flags() {
  local package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- ' -X %s.gitVersion=v%s' "$package" "$KUBERNETES"
    printf -- ' -X %s.gitMajor=1 -X %s.gitMinor=%s' "$package" "$package" "$(cut -d. -f2 <<<"$KUBERNETES")"
    printf -- ' -X %s.gitTreeState=clean -X %s.gitCommit=%040d' "$package" "$package" 0
    printf -- ' -X %s.buildDate=2026-01-01T00:00:00Z' "$package"
  done
}

install_packages() {
  local fresh=
  command -v containerd >/dev/null || fresh=yes
  # shellcheck disable=SC2086
  (need_packages $TESTBED_PACKAGES)
  # Debian starts it at once; the nodes of a cluster run their own.
  if [ -n "$fresh" ] && [ -d /run/systemd/system ]; then systemctl disable --now --quiet containerd; fi
}

build_kubernetes() {
  local name source=$SOURCES/kubernetes-$KUBERNETES
  [ ! -d "$KUBE_BIN" ] || return 0
  use_go
  progress "Kubernetes $KUBERNETES: about 8 minutes on two cores, the first time"
  mkdir -p "$source"
  rm -rf "$KUBE_BIN.part"
  mkdir "$KUBE_BIN.part"
  cp "$TESTBED/kubernetes/main.go" "$source/"
  node "$TESTBED/kubernetes-module.ts" "$KUBERNETES" "$source"
  cd "$source"
  compile -tags notest,grpcnotrace -ldflags "-s -w$(version_flags)" -o "$KUBE_BIN.part/kubernetes" .
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do
    ln -s kubernetes "$KUBE_BIN.part/$name"
  done
  mv "$KUBE_BIN.part" "$KUBE_BIN"
}

# A program of one module, whose main package is in that module or beside this script: NAME VERSION MODULE PACKAGE BIN.
build_program() {
  [ ! -x "$5/$1" ] || return 0
  use_go
  progress "$1 $2"
  mkdir -p "$5"
  require "$1" "$2" "$3"
  if [ "$4" = . ]; then cp "$TESTBED/$1/main.go" .; fi
  compile -ldflags '-s -w' -o "$5/$1.part" "$4"
  mv "$5/$1.part" "$5/$1"
}
build_etcd() { build_program etcd "$ETCD" go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3 "$ETCD_BIN"; }
build_coredns() { build_program coredns "$COREDNS" github.com/coredns/coredns . "$COREDNS_BIN"; }

build_crds() {
  local module
  [ ! -d "$GATEWAY_CRDS" ] || return 0
  use_go
  progress "CRDs of Gateway API $GATEWAY_API"
  module=$(cd / && GOFLAGS='' go mod download -json "sigs.k8s.io/gateway-api@v$GATEWAY_API" | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
  rm -rf "$GATEWAY_CRDS.part"
  cp -r --no-preserve=mode "$module/config/crd/standard" "$GATEWAY_CRDS.part"
  mv "$GATEWAY_CRDS.part" "$GATEWAY_CRDS"
}

# Packs the directory $root as an image and empties it: FILE NAME [OPTION...].
pack() {
  progress "image $2"
  node "$TESTBED/pack-image.ts" --root "$root" --out "$1" --name "$2" "${@:3}"
  rm -rf "$root"
}

build_images() {
  local root=$CACHE/root.part tool tools=()
  rm -rf "$root"
  if [ ! -f "$PAUSE_IMAGE" ]; then
    use_go
    mkdir -p "$root"
    (cd "$TESTBED/pause" && compile -ldflags '-s -w' -o "$root/pause" main.go)
    pack "$PAUSE_IMAGE" "$PAUSE" --entrypoint /pause
  fi
  if [ ! -f "$COREDNS_IMAGE" ]; then
    build_coredns
    mkdir -p "$root"
    cp "$COREDNS_BIN/coredns" "$root/"
    pack "$COREDNS_IMAGE" "$DNS_SERVER" --entrypoint /coredns
  fi
  if [ ! -f "$NODE_IMAGE" ]; then
    for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore nft ip ss nsenter conntrack ipset; do
      tools+=("$(command -v "$tool")")
    done
    # The shell is not busybox's, which prefers its own ip and nsenter to those in PATH.
    "$TESTBED/collect-programs.sh" "$root" "$(command -v node):/usr/local/bin/node" "$(command -v dash):/bin/sh" \
      "$(command -v busybox):/bin/busybox" "${tools[@]}" --iptables-plugins --busybox-links
    pack "$NODE_IMAGE" "$NODE" --entrypoint '' --cmd node
  fi
}

is_root || fail 'the test cluster needs root: namespaces, cgroups, containers'
PATH=$PATH:/usr/sbin:/sbin
install_packages
(need_modules)
use_pinned_node || exit 1
export NODE_OPTIONS=--disable-warning=ExperimentalWarning
mkdir -p "$SOURCES"
exec 9>"$CACHE/lock"
flock 9
[ $# -gt 0 ] || set -- kubernetes etcd coredns crds images
for what; do
  declare -F "build_$what" >/dev/null || fail "there is nothing called \"$what\" to build"
  "build_$what" 9>&-
done
