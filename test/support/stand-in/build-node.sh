#!/usr/bin/env bash
# Builds a local stand-in for the official node image, of which the backup's image takes the binary and nothing else.
#
# usage: build-node.sh NODE TAG
set -euo pipefail

node=$1 tag=$2
docker image inspect "$tag" > /dev/null 2>&1 && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -D -m 755 "$node" "$work/usr/local/bin/node"
tar -C "$work" -c . | docker import - "$tag" > /dev/null
echo "$tag built"
