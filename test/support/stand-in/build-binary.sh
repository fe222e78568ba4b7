#!/usr/bin/env bash
# Builds a local stand-in for an official image of which the backup's image takes one binary and nothing else.
#
# usage: build-binary.sh BINARY NAME TAG
#   BINARY  this machine's own
#   NAME    as the image has it, in /usr/local/bin
set -euo pipefail

binary=$1 name=$2 tag=$3

# Two tests may want it at once: the second waits, and finds it built.
exec 9> "${TMPDIR:-/tmp}/centraldb-stand-in.lock"
flock 9

docker image inspect "$tag" > /dev/null 2>&1 && exit 0
[ -x "$binary" ] || {
  echo "$binary is not there: apt-get install $name" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
install -D -m 755 "$binary" "$work/usr/local/bin/$name"
tar -C "$work" -c . | docker import - "$tag" > /dev/null
echo "$tag built"
