#!/usr/bin/env bash
# Starts a server with the new configuration in a throw-away container that has the limits of a node, and puts the files
# into the configuration volume only when it runs. As root, which becomes postgres for the server.
# Standard input: the passwords of the roles repl and app, a line each, then a line for each file of the folder tls: its name and its content in base64.
# Environment: the files' texts, NODE (one of those whose certificate is in tls), CONFIG (where the volume is mounted).
# The nodes' data are in /data, read-only.
set -euo pipefail
read -r replication_password
read -r dump_password

new=/tmp/configuration
mkdir "$new"
printf '%s' "$POSTGRESQL_CONF" > "$new/postgresql.conf"
printf '%s' "$PG_HBA_CONF" > "$new/pg_hba.conf"
printf '%s' "$PG_IDENT_CONF" > "$new/pg_ident.conf"
(umask 077 && printf '*:*:*:%s\n' "repl:$replication_password" "app:$dump_password" > "$new/pgpass")
mkdir "$new/tls"
while read -r name content; do
  (umask 077 && base64 --decode <<< "$content" > "$new/tls/$name")
done
chown -R postgres:postgres "$new"

# Data of another major version an image can neither read nor upgrade.
major=$(postgres --version | sed -E 's/.* ([0-9]+)\..*/\1/')
for volume in /data/*; do
  found=$(cat "$volume/pgdata/PG_VERSION" 2> /dev/null || echo "$major")
  [ "$found" = "$major" ] || {
    echo "the image has PostgreSQL $major, the data of $(basename "$volume") are of $found: keep an image of that version" >&2
    exit 1
  }
done

log=/tmp/check.log
data=/tmp/check
gosu postgres initdb -D "$data" --no-sync --no-instructions --username=postgres --auth=peer > /dev/null
files="-c config_file=$new/postgresql.conf -c hba_file=$new/pg_hba.conf -c ident_file=$new/pg_ident.conf"
files+=" -c ssl_cert_file=$new/tls/$NODE.crt -c ssl_key_file=$new/tls/$NODE.key"
if ! gosu postgres pg_ctl -D "$data" -o "$files -c listen_addresses='' -c unix_socket_directories=/tmp" -l "$log" -w start &> /dev/null; then
  # What PostgreSQL said, without the time and process in front.
  sed -E 's#/tmp/configuration/##g; s/^.*(LOG|FATAL|ERROR|WARNING|HINT|DETAIL): +/\1: /' "$log" | grep -vE '^LOG: +(starting|database system)' | tail -n 8 >&2
  exit 1
fi
wrong=$(psql --host=/tmp --username=postgres -XAtc "
  SELECT format('%s line %s: %s', file_name, line_number, error) FROM pg_hba_file_rules WHERE error IS NOT NULL
  UNION ALL
  SELECT format('%s line %s: %s', file_name, line_number, error) FROM pg_ident_file_mappings WHERE error IS NOT NULL" postgres)
gosu postgres pg_ctl -D "$data" -m immediate stop > /dev/null
[ -z "$wrong" ] || { echo "$wrong" >&2; exit 1; }

# Certificates first: pg_hba.conf may ask for them. To a server that reads them between certificate and key they do not fit,
# and it keeps what it has until the next reload, which follows.
mkdir -p "$CONFIG/tls"
for file in $(cd "$new" && echo tls/*) pgpass postgresql.conf pg_hba.conf pg_ident.conf; do
  # In one step each: a server may read them at any moment.
  cp -p "$new/$file" "$CONFIG/$file.new"
  mv "$CONFIG/$file.new" "$CONFIG/$file"
done
