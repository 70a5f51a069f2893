#!/bin/bash
# control-plane.sh HOST ADDRESS: the control plane, process 1 of its own namespaces. Started by cluster.sh.
set -euo pipefail
HOST=$1 ADDRESS=$2
. "$(dirname "${BASH_SOURCE[0]}")/keep.sh"
hostname "$NAME-$HOST"
# The data of etcd live as long as this host.
mkdir -p "$STATE/etcd"
mount -t tmpfs -o mode=0700 tmpfs "$STATE/etcd"

keep "$ETCD_BIN/etcd" --data-dir "$STATE/etcd/data" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
  --initial-cluster default=http://127.0.0.1:2380

keep "$KUBE_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --bind-address=0.0.0.0 --advertise-address="$ADDRESS" --secure-port=6443 --service-cluster-ip-range="$SERVICES" \
  --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
  --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
  --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
  --requestheader-username-headers=X-Remote-User --enable-aggregator-routing=true \
  --proxy-client-cert-file="$PKI/front-proxy.crt" --proxy-client-key-file="$PKI/front-proxy.key"

until (: <"/dev/tcp/$ADDRESS/6443") 2>/dev/null; do sleep 0.1; done
until "$KUBE_BIN/kubectl" --kubeconfig "$PKI/controller-manager.conf" get --raw /readyz >/dev/null 2>&1; do sleep 0.1; done
: >"$STATE/ready"

# The controller manager makes some forty clients at start, which takes 4 s at its usual rate.
keep "$KUBE_BIN/kube-controller-manager" --kubeconfig="$PKI/controller-manager.conf" --leader-elect=false \
  --authentication-kubeconfig="$PKI/controller-manager.conf" --authorization-kubeconfig="$PKI/controller-manager.conf" \
  --kube-api-qps=500 --kube-api-burst=500 --allocate-node-cidrs=false --use-service-account-credentials=true \
  --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"

keep "$KUBE_BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.conf" --leader-elect=false \
  --authentication-kubeconfig="$PKI/scheduler.conf" --authorization-kubeconfig="$PKI/scheduler.conf" \
  --kube-api-qps=500 --kube-api-burst=500

wait
