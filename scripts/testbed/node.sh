#!/bin/bash
# node.sh HOST ADDRESS: a node, process 1 of its own namespaces. Started by cluster.sh, also after a `stop`.
#
# What a machine keeps over a power cut is kept in $STATE/HOST: /etc, /opt, /var, images, volumes. What
# it loses is lost: /run, network, processes.
set -euo pipefail
HOST=$1 ADDRESS=$2
. "$(dirname "${BASH_SOURCE[0]}")/keep.sh"
DISK=$STATE/$HOST
CGROUP=$NAME-$HOST
hostname "$HOST"

mkdir -p "$DISK"/{config,containerd,kubelet}
for dir in etc opt var; do
  mkdir -p "$DISK/overlay/$dir"/{upper,work}
  mount -t overlay overlay -o "lowerdir=/$dir,upperdir=$DISK/overlay/$dir/upper,workdir=$DISK/overlay/$dir/work" "/$dir"
done
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/netns /run/lock /var/lib/kubelet /var/log/pods /etc/cni/net.d /opt/cni/bin
mount --bind "$DISK/kubelet" /var/lib/kubelet
cp -sf /usr/lib/cni/* /opt/cni/bin/

# kubelet and kube-proxy insist on sysctls of the whole machine: files of our own that hold what they want.
for setting in kernel/panic=10 kernel/panic_on_oops=1 vm/overcommit_memory=1 vm/panic_on_oom=0 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$DISK/config/${setting//[\/=]/_}
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
mount --make-rshared /

# The node's own cgroup, in every hierarchy of version 1 or in the one of version 2.
while read -r _ point type _; do
  case $type in
    cgroup) ;;
    cgroup2)
      [ "$point" = /sys/fs/cgroup ] || continue
      for controller in cpuset cpu io memory pids; do echo "+$controller" >"$point/cgroup.subtree_control" || true; done
      ;;
    *) continue ;;
  esac
  mkdir -p "$point/$CGROUP"
  if [ "$type" = cgroup ] && [ -e "$point/cpuset.cpus" ]; then
    cat "$point/cpuset.cpus" >"$point/$CGROUP/cpuset.cpus"
    cat "$point/cpuset.mems" >"$point/$CGROUP/cpuset.mems"
  fi
done </proc/mounts

# Written once, as by somebody who installs a CNI; what others chain to it survives a restart.
[ -e /etc/cni/net.d/10-pods.conflist ] || cat >/etc/cni/net.d/10-pods.conflist <<END
{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": "/run/cni-ipam",
        "ranges": [[{ "subnet": "10.244.${HOST#n}.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }]
      }
    },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
END
# A machine without CAP_SYS_RESOURCE lets no process lower its own oom_score_adj.
cat >"$DISK/config/containerd.toml" <<END
version = 2
root = "$DISK/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/cni/bin"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
END
cat >"$DISK/config/kubelet.json" <<END
{
  "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
  "address": "0.0.0.0", "port": 10250, "healthzPort": 10248,
  "authentication": {
    "anonymous": { "enabled": false }, "webhook": { "enabled": true }, "x509": { "clientCAFile": "$PKI/ca.crt" }
  },
  "authorization": { "mode": "Webhook" },
  "tlsCertFile": "$PKI/$HOST.crt", "tlsPrivateKeyFile": "$PKI/$HOST.key",
  "clusterDNS": ["$DNS"], "clusterDomain": "cluster.local", "resolvConf": "",
  "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
  "cgroupDriver": "cgroupfs", "cgroupRoot": "/$CGROUP", "enforceNodeAllocatable": [],
  "failCgroupV1": false, "failSwapOn": false,
  "featureGates": { "KubeletInUserNamespace": true },
  "imageGCHighThresholdPercent": 100,
  "evictionHard": {
    "memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%",
    "nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"
  },
  "syncFrequency": "10s", "nodeStatusUpdateFrequency": "5s"
}
END
# nf_conntrack_max is read-only in a network namespace.
cat >"$DISK/config/kube-proxy.json" <<END
{
  "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
  "clientConnection": { "kubeconfig": "$PKI/proxy.conf" },
  "hostnameOverride": "$HOST", "mode": "nftables", "clusterCIDR": "10.244.0.0/16",
  "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" }
}
END

keep containerd -c "$DISK/config/containerd.toml"
until [ -S /run/containerd/containerd.sock ] && ctr version >/dev/null 2>&1; do sleep 0.1; done
for image in $IMAGES; do ctr -n k8s.io images import "$image"; done

until [ -e "$STATE/ready" ]; do sleep 0.05; done
keep "$KUBE_BIN/kubelet" --config="$DISK/config/kubelet.json" --kubeconfig="$PKI/$HOST.conf" \
  --hostname-override="$HOST" --node-ip="$ADDRESS" --root-dir=/var/lib/kubelet
keep "$KUBE_BIN/kube-proxy" --config="$DISK/config/kube-proxy.json"
wait
