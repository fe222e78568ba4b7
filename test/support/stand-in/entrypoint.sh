#!/usr/bin/env bash
# Stand-in for the official image's entrypoint: what its documentation promises and this project uses.
# POSTGRES_PASSWORD(_FILE), POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS, docker-entrypoint-initdb.d, exec as postgres.
set -euo pipefail

[ "${1:-}" = postgres ] || exec "$@"

if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
  POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
  export POSTGRES_PASSWORD
  unset POSTGRES_PASSWORD_FILE
fi
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec gosu postgres "$BASH_SOURCE" "$@"
fi

sockets=/var/run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -n "${POSTGRES_PASSWORD:-}" ] || { echo 'Error: Database is uninitialized and superuser password is not specified.' >&2; exit 1; }
  user=${POSTGRES_USER:-postgres}
  eval 'initdb --username="$user" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"${POSTGRES_INITDB_ARGS:-}"
  printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -c unix_socket_directories=$sockets" -w start
  export PGPASSWORD=$POSTGRES_PASSWORD PGHOST=$sockets PGUSER=$user
  [ "${POSTGRES_DB:-postgres}" = postgres ] || psql --no-psqlrc -v ON_ERROR_STOP=1 -d postgres -v db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) psql --no-psqlrc -v ON_ERROR_STOP=1 -d "${POSTGRES_DB:-postgres}" -f "$file" ;;
    esac
  done
  pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD PGHOST PGUSER
  echo 'PostgreSQL init process complete; ready for start up.'
fi
exec "$@" -c "unix_socket_directories=$sockets"
