#!/bin/bash
# A real Kubernetes cluster on this machine, for tests: as root, and nothing of it in the machine's network.
#
# Every host, a control plane "cp" and nodes "n1", "n2", …, is a set of namespaces (network, mounts,
# processes, host name) with genuine programs in them; a bridge in a namespace of its own joins them.
#
#   cluster.sh up [N]               starts it with N nodes (2) and waits until it is ready
#   cluster.sh down                 ends it, whatever state it is in; only its logs stay
#   cluster.sh kubectl ARG...       kubectl as an administrator
#   cluster.sh in HOST CMD...       runs CMD in the network of HOST; KUBECONFIG is set, kubectl in PATH
#   cluster.sh enter HOST CMD...    runs CMD in all namespaces of HOST: its files, processes and network
#   cluster.sh load FILE.tar...     imports images into every node
#   cluster.sh cut HOST | mend HOST         takes a host off the network, and puts it back
#   cluster.sh stop NODE | start NODE       ends all processes of a node at once; starts it again, as after a power cut
#   cluster.sh pause HOST PROGRAM | resume HOST PROGRAM     ends kube-apiserver, kubelet, … and keeps it ended
#   cluster.sh memory               what each program takes
#
# TESTBED_NAME (8 characters at most) names the cluster: several run side by side. docs/testbed.md has the rest.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/pins.sh"
export NAME STATE PKI API SERVICES DNS KUBE_BIN ETCD_BIN IMAGES PAUSE
export KUBECONFIG=$PKI/admin.conf KUBECACHEDIR=$STATE/kubectl-cache

since_start() {
  local tenths=$(((${EPOCHREALTIME/[.,]/} - STARTED) / 100000))
  printf '%3d.%d s  %s\n' $((tenths / 10)) $((tenths % 10)) "$*"
}
address_of() { if [ "$1" = cp ]; then echo "$API"; else echo "10.250.0.$((10 + ${1#n}))"; fi; }
in_network() { nsenter --net="/run/netns/$NAME-$1" -- "${@:2}"; }
# What runs long must not keep the lock of this script when that is killed.
kubectl() { in_network cp "$KUBE_BIN/kubectl" "$@" 8>&-; }
nodes() { cat "$STATE/nodes"; }

# Network namespaces of this cluster that exist, whoever made them: net, cp, n1, …
hosts() {
  local path host
  for path in "/run/netns/$NAME-"*; do
    host=${path##*/"$NAME"-}
    case $host in net | cp | n[0-9] | n[0-9][0-9]) echo "$host" ;; esac
  done
}

# The process of a host that is number 1 in there; nothing where there is none.
init_of() {
  local pid depth
  depth=$(awk '/^NSpid:/ {print NF}' /proc/self/status)
  for pid in $(ip netns pids "$NAME-$1" 2>/dev/null); do
    if awk -v fields="$((depth + 1))" '/^NSpid:/ {exit !(NF == fields && $NF == 1)}' "/proc/$pid/status" 2>/dev/null; then
      echo "$pid"
      return
    fi
  done
}
enter() {
  local init
  init=$(init_of "$1")
  [ -n "$init" ] || fail "host $1 of cluster $NAME is not running"
  nsenter -t "$init" -m -u -i -n -p -- "${@:2}"
}

# Makes the network namespace of a host and its cable to the bridge, with plain routes to the pods of the others.
attach() {
  local host=$1 other
  ip netns add "$NAME-$host"
  ip -n "$NAME-net" link add "to-$host" type veth peer name eth0 netns "$NAME-$host"
  ip -n "$NAME-net" link set "to-$host" master bridge up
  {
    printf 'link set lo up\nlink set eth0 up\naddr add %s/24 dev eth0\nroute add default via 10.250.0.1\n' "$(address_of "$host")"
    for other in $(nodes); do
      [ "$other" = "$host" ] || echo "route add 10.244.${other#n}.0/24 via $(address_of "$other")"
    done
  } | ip -n "$NAME-$host" -batch -
  in_network "$host" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
}
detach() {
  ip -n "$NAME-net" link del "to-$1" 2>/dev/null || true
  ip netns del "$NAME-$1"
}

launch() { # HOST SCRIPT
  setsid nohup nsenter --net="/run/netns/$NAME-$1" \
    unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
    bash "$TESTBED/$2" "$1" "$(address_of "$1")" </dev/null >>"$STATE/log/$1.log" 2>&1 8>&- &
}

# Ends a host with every process, mount and pinned namespace that it has: they go with its process 1.
kill_host() {
  local pid
  for _ in 1 2 3; do # one that was just starting had no process 1 yet
    pid=$(init_of "$1")
    if [ -z "$pid" ]; then
      if ! ip netns pids "$NAME-$1" | xargs -rI: cat /proc/:/comm 2>/dev/null | grep -qxE 'nsenter|unshare'; then return; fi
      sleep 0.2
      continue
    fi
    kill -KILL "$pid" 2>/dev/null || true
    # It may stay as a zombie until the machine's process 1 reaps it.
    while grep -qs '^State:.[^ZX]' "/proc/$pid/status"; do sleep 0.02; done
  done
}
remove_cgroups() { # HOST
  local dir
  for dir in /sys/fs/cgroup/*/"$NAME-$1" /sys/fs/cgroup/"$NAME-$1"; do
    [ -d "$dir" ] || continue
    for _ in $(seq 50); do
      find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep 0.1
    done
  done
}

certificate() { # NAME CN [O] [SAN]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/$1.key" -subj "/CN=$2${3:+/O=$3}" 2>/dev/null |
    openssl x509 -req -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 30 -out "$PKI/$1.crt" \
      -extfile <(echo 'extendedKeyUsage=serverAuth,clientAuth'; [ -z "${4:-}" ] || echo "subjectAltName=$4") 2>/dev/null
}
kubeconfig() { # NAME
  cat >"$PKI/$1.conf" <<END
{"apiVersion": "v1", "kind": "Config", "current-context": "testbed",
 "clusters": [{"name": "testbed", "cluster": {"server": "https://$API:6443", "certificate-authority-data": "$(base64 -w0 <"$PKI/ca.crt")"}}],
 "users": [{"name": "$1", "user": {"client-certificate-data": "$(base64 -w0 <"$PKI/$1.crt")", "client-key-data": "$(base64 -w0 <"$PKI/$1.key")"}}],
 "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "$1"}}]}
END
}
certificates() {
  local who
  mkdir -p -m 0700 "$PKI"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$PKI/ca.key" -subj /CN=testbed-ca -days 30 -out "$PKI/ca.crt" 2>/dev/null
  openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
  openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
  certificate apiserver kube-apiserver '' "IP:$API,IP:${SERVICES%.*}.1,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  certificate kubelet-client kube-apiserver-kubelet-client system:masters
  certificate front-proxy front-proxy-client
  certificate admin admin system:masters
  certificate controller-manager system:kube-controller-manager
  certificate scheduler system:kube-scheduler
  certificate proxy system:kube-proxy
  for who in $(nodes); do
    certificate "$who" "system:node:$who" system:nodes "IP:$(address_of "$who"),DNS:$who"
  done
  for who in admin controller-manager scheduler proxy $(nodes); do kubeconfig "$who"; done
}

# The objects that make it a cluster: its nodes, with the network of their pods, and its DNS.
base_objects() {
  local host net
  for host in $(nodes); do
    net=10.244.${host#n}.0/24
    printf -- '---\n{apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: %s}}, spec: {podCIDR: %s, podCIDRs: [%s]}}\n' \
      "$host" "$host" "$net" "$net"
  done
  echo ---
  sed "s|@IMAGE@|$DNS_SERVER|; s|@ADDRESS@|$DNS|" "$TESTBED/base.yaml"
}

up() {
  local count=${1:-2} host
  STARTED=${EPOCHREALTIME/[.,]/}
  [[ $count =~ ^([1-9]|[1-8][0-9])$ ]] || fail "up takes a number of nodes, not \"$count\""
  case $STATE in /etc/* | /opt/* | /var/* | /run/*) fail "the cache cannot be in $CACHE, which the nodes lay files of their own over" ;; esac
  "$TESTBED/build.sh" 8>&-
  if [ -n "$(hosts)" ]; then
    [ -z "$(init_of cp)" ] || fail "cluster $NAME is up already"
    down
  fi
  rm -rf "$STATE/log"
  mkdir -p "$STATE/log" "$STATE/paused"
  seq -f 'n%.0f' 1 "$count" >"$STATE/nodes"
  ip netns add "$NAME-net"
  printf 'link set lo up\nlink add bridge type bridge\naddr add 10.250.0.1/24 dev bridge\nlink set bridge up\n' | ip -n "$NAME-net" -batch -
  for host in cp $(nodes); do attach "$host"; done
  certificates
  since_start 'network and certificates'
  launch cp control-plane.sh
  for host in $(nodes); do launch "$host" node.sh; done
  for _ in $(seq 3600); do
    [ ! -e "$STATE/ready" ] || break
    sleep 0.05
  done
  [ -e "$STATE/ready" ] || fail "there is no API server after 180 s; its log is in $STATE/log"
  since_start 'API server ready'
  for _ in $(seq 50); do # the namespaces that Kubernetes makes by itself take a moment
    base_objects | kubectl apply --server-side --force-conflicts -f - >"$STATE/log/base.log" 2>&1 && break
    sleep 0.2
  done
  kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null
  since_start "$count nodes ready"
  kubectl -n kube-system rollout status deployment/coredns --timeout=180s >/dev/null
  since_start 'cluster DNS ready'
}

down() {
  local host
  for host in $(hosts); do
    kill_host "$host"
    ip netns del "$NAME-$host"
    remove_cgroups "$host"
  done
  if [ -d "$STATE" ]; then find "$STATE" -mindepth 1 -maxdepth 1 ! -name log ! -name lock -exec rm -rf {} +; fi
}

stop() {
  kill_host "$1"
  detach "$1"
  remove_cgroups "$1"
}
start() {
  [ -z "$(init_of "$1")" ] || fail "host $1 of cluster $NAME is running already"
  attach "$1"
  launch "$1" node.sh
}

resume() { rm -f "$STATE/paused/$1-$2"; }
pause() {
  : >"$STATE/paused/$1-$2"
  enter "$1" pkill -KILL -x "${2:0:15}" || true
}

memory() {
  local host init pid
  for host in $(hosts); do
    init=$(init_of "$host")
    [ -n "$init" ] || continue
    for pid in $(nsenter -t "$init" -p -m ps -eo pid=); do
      nsenter -t "$init" -p -m awk -v host="$host" -v name="$(enter "$host" cat "/proc/$pid/comm" 2>/dev/null)" \
        '/^Rss:/ {rss = $2} /^Pss:/ {pss = $2} END {if (rss) print host, name, rss, pss}' "/proc/$pid/smaps_rollup" 2>/dev/null || true
    done
  done | awk '
    {key = $1 " " $2; count[key]++; rss[key] += $3; pss[key] += $4; all_rss += $3; all_pss += $4}
    END {
      for (key in count) printf "%-24s %3d x %8.1f MiB RSS %8.1f MiB PSS\n", key, count[key], rss[key]/1024, pss[key]/1024 | "sort"
      close("sort")
      printf "%-30s %8.1f MiB RSS %8.1f MiB PSS\n", "all", all_rss/1024, all_pss/1024
    }'
}

is_root || fail 'the test cluster needs root'
PATH=$PATH:/usr/sbin:/sbin
command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  up | down | stop | start)
    # One of these at a time, for each cluster.
    mkdir -p "$STATE"
    exec 8>"$STATE/lock"
    flock -w 5 8 || fail "another cluster.sh is at work on cluster $NAME"
    "$command" "$@"
    ;;
  kubectl | enter | pause | resume | memory) "$command" "$@" ;;
  in) PATH=$KUBE_BIN:$PATH TESTBED_STATE=$STATE TESTBED_NAME=$NAME in_network "$@" ;;
  load)
    for host in $(nodes); do
      for file; do enter "$host" ctr -n k8s.io images import "$(realpath "$file")" >/dev/null; done
    done
    ;;
  cut) ip -n "$NAME-net" link set "to-$1" down ;;
  mend) ip -n "$NAME-net" link set "to-$1" up ;;
  *)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
