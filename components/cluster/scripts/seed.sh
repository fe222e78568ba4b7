#!/usr/bin/env bash
# Makes the first data directory, once, in a container without network; as root, which becomes postgres for each step.
# Standard input: the superuser's password. Environment: PGDATA, PEER_PGDATA, DATABASE.
set -euo pipefail

refuse() {
  echo "$*" >&2
  exit 1
}
read -r password

if [ -s "$PGDATA/PG_VERSION" ]; then
  echo "the volume holds data of PostgreSQL $(cat "$PGDATA/PG_VERSION") already: they are kept"
  exit 0
fi
# Never a second, empty primary beside data.
[ ! -s "$PEER_PGDATA/PG_VERSION" ] ||
  refuse "the primary's volume is empty, the other node's is not: promote that one (centraldb:primaryNode), or bring back the volume"

[ ! -e "$PGDATA" ] || rmdir "$PGDATA" 2> /dev/null || refuse "$PGDATA has files but no PG_VERSION: move them away"

chown postgres:postgres "$(dirname "$PGDATA")"
unfinished=$PGDATA.unfinished
rm -rf "$unfinished"
as_postgres() { gosu postgres "$@"; }
(umask 077 && printf '%s\n' "$password" > /tmp/password)
chown postgres /tmp/password
# The code-point order of C.UTF-8 does not change with a library of the image.
as_postgres initdb -D "$unfinished" --username=postgres --pwfile=/tmp/password --data-checksums \
  --encoding=UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256 --no-instructions > /dev/null
as_postgres pg_ctl -D "$unfinished" -o "-c listen_addresses='' -c unix_socket_directories=/tmp" -l /tmp/seed.log -w start > /dev/null ||
  refuse "$(tail -n 5 /tmp/seed.log)"
as_postgres createdb --host=/tmp --username=postgres "$DATABASE"
as_postgres pg_ctl -D "$unfinished" -m fast -w stop > /dev/null
# Under its own name only when it is whole.
mv -T "$unfinished" "$PGDATA"
echo "made the data directory with database $DATABASE"
