#!/bin/sh
# The first process of a node, in mount, process and network namespaces of its own: hides the folders that kubelet, containerd and the CNI
# plugins share with the machine, then waits and takes leave of orphans. When it ends, the whole node ends.
# node-init.sh FOLDER PAUSE
set -eu
folder=$1 pause=$2
for shared in /var/lib/kubelet /var/lib/cni /var/log/containers /run/containerd /run/netns /opt/containerd; do
  mkdir -p "$shared"
  mount -t tmpfs node "$shared"
done
# The kubelet would set these for the whole machine: it is shown the values that it wants.
mkdir -p "$folder/sysctl"
for pair in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 \
  kernel/keys/root_maxbytes=25000000; do
  file=$folder/sysctl/$(echo "${pair%=*}" | tr / .)
  echo "${pair#*=}" > "$file"
  mount --bind "$file" "/proc/sys/${pair%=*}"
done
# Names are asked of the cluster, which says at once that it does not know a registry; the machine's own servers cannot be reached from here.
if [ -e /etc/resolv.conf ]; then
  mount --bind "$folder/resolv.conf" /etc/resolv.conf
fi
touch "$folder/up"
exec "$pause" pause
