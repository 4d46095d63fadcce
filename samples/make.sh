#!/bin/sh
# Makes the sample images with the real qemu-img (7.2), byte for byte as they are in the repository:
#   base.qcow2    a small disk of compressed clusters
#   sample.qcow2  on top of it: plain, compressed and zero clusters, the rest shows the base
#   sample.sha256 what the disk in sample.qcow2 contains, by QEMU's own reading
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seq 1 60000 >"$work/numbers.raw"
truncate -s 4M "$work/numbers.raw"
rm -f base.qcow2 sample.qcow2
qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k "$work/numbers.raw" base.qcow2

# compressed clusters one by one: those of one request end up in any order
qemu-img create -q -f qcow2 -o cluster_size=4k -b base.qcow2 -F qcow2 sample.qcow2 6M
qemu-io -f qcow2 sample.qcow2 >/dev/null \
  -c 'write -P 0x49 0 20k' \
  -c 'write -P 0x4d 100k 3000' \
  -c 'write -z 64k 32k' \
  -c 'write -c -P 0x47 160k 4k' \
  -c 'write -c -P 0x47 164k 4k' \
  -c 'write -c -P 0x47 168k 4k' \
  -c 'write -c -P 0x47 172k 4k' \
  -c 'write -P 0x21 5M 12k' \
  -c 'write -z 5140k 4k'

qemu-img convert -f qcow2 -O raw sample.qcow2 "$work/sample.raw"
(cd "$work" && sha256sum sample.raw) >sample.sha256
