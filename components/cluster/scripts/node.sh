#!/usr/bin/env bash
# What a node's container runs, as the user postgres. Which role the node has is a fact of its data (standby.signal), not
# of this container. It never makes a data directory of its own: an empty volume is filled from the peer, or refused.
# With the argument `check` it is the healthcheck.
#
# Environment: NODE and PEER (host names), SLOT (this node's slot on its peer), PGDATA, CONFIG (folder of the files),
# PROCESS_KIB (what one server process may allocate).
set -euo pipefail

say() { echo "centraldb: $*" >&2; }
refuse() {
  say "$NODE refuses to start: $*"
  exit 1
}
# As process 1 it would ignore them otherwise.
trap 'exit 130' INT TERM QUIT

conninfo="host=$PEER port=5432 user=repl passfile=$CONFIG/pgpass application_name=$NODE connect_timeout=5"
conninfo+=" sslmode=verify-full sslrootcert=$CONFIG/tls/authority.crt"
# A standby that hangs without reading would stop its primary's checkpoints: they wait for the sender of an outdated slot,
# and the sender waits in a write. Not for everybody: a service may well pause that long within a large result.
conninfo+=" options=-ctcp_user_timeout=10s"
peer() { psql "$conninfo replication=true" -XAtqc "$1" 2>&1; }

# A base backup of the peer, through a slot of this node's own so that no WAL is missing afterwards.
clone() {
  local answer tries
  for tries in $(seq 30); do
    answer=$(peer 'SHOW in_hot_standby') && break
    [ "$tries" -lt 30 ] || refuse "its volume is empty and $PEER cannot be asked for a copy: $answer"
    sleep 1
  done
  [ "$answer" = off ] || refuse "its volume is empty and $PEER is a standby itself: bring back the volume, or promote $PEER"

  # What is not known is not deleted.
  [ ! -e "$PGDATA" ] || rmdir "$PGDATA" 2> /dev/null || refuse "$PGDATA has files but no PG_VERSION: move them away"

  say "its volume is empty: copying $PEER"
  # Left by an earlier clone, or lost its WAL; in use it cannot be dropped, and the copy fails with PostgreSQL's words.
  peer "DROP_REPLICATION_SLOT $SLOT" > /dev/null || true
  rm -rf "$PGDATA.unfinished"
  pg_basebackup -d "$conninfo" -D "$PGDATA.unfinished" --create-slot --slot="$SLOT" -X stream --checkpoint=fast &
  wait $! || refuse "the copy of $PEER failed, see above"
  touch "$PGDATA.unfinished/standby.signal"
  # Under its own name only when it is whole: what a killed clone leaves is never taken for data.
  sync -f "$PGDATA.unfinished"
  mv -T "$PGDATA.unfinished" "$PGDATA"
  say "copied"
}

# A standby needs at least what its primary has of these, or PostgreSQL refuses to start it.
at_least_the_primarys() {
  local setting label configured control
  while IFS=: read -r setting label; do
    configured=$(postgres -C "$setting" -c "config_file=$CONFIG/postgresql.conf")
    control=$(sed -n "s/^$label setting: *//p" <<< "$1")
    [ "$control" -le "$configured" ] || {
      say "$setting = $control as on its primary, not $configured"
      options+=(-c "$setting=$control")
    }
  done << 'SETTINGS'
max_connections:max_connections
max_worker_processes:max_worker_processes
max_wal_senders:max_wal_senders
max_prepared_transactions:max_prepared_xacts
max_locks_per_transaction:max_locks_per_xact
SETTINGS
}

# The timeline of this node's data: a promotion begins a new one, and leaves its history in pg_wal.
timeline() {
  local last
  last=$(find "$PGDATA/pg_wal" -maxdepth 1 -name '*.history' -printf '%f\n' | sort | tail -n 1)
  last=${last%.history}
  echo $((16#${last:-1}))
}

# After a failover it missed, a node that was the primary must not serve: what it writes is lost. The peer is believed when
# it is a primary on a later timeline; that is written down for the day on which it does not answer.
superseded=$(dirname "$PGDATA")/superseded
look_for_successor() {
  local theirs
  [ ! -e "$PGDATA/standby.signal" ] && [ "$(peer 'SHOW in_hot_standby')" = off ] || return 0
  theirs=$(peer IDENTIFY_SYSTEM | cut -d '|' -f 2)
  if [ "$theirs" -gt "$(timeline)" ]; then
    echo "$PEER is the primary, on timeline $theirs since $(date -Is) or before" > "$superseded"
  elif [ "$theirs" -eq "$(timeline)" ] && [ "$1" = start ]; then
    refuse "$PEER is a primary with the same history: only one of them can be one"
  fi
}

if [ "${1:-}" = check ]; then
  pg_isready --quiet
  # Both may have been started at the same moment, when neither answered.
  look_for_successor check
  [ ! -e "$superseded" ] || kill -INT 1
  exit 0
fi

[ -r "$CONFIG/postgresql.conf" ] ||
  refuse "its configuration volume is empty: pulumi up --target-replace '**cluster-configuration' writes it again"
[ -s "$PGDATA/PG_VERSION" ] || clone

options=(
  -c "config_file=$CONFIG/postgresql.conf"
  -c "hba_file=$CONFIG/pg_hba.conf"
  -c "ident_file=$CONFIG/pg_ident.conf"
  -c "cluster_name=$NODE"
  # A reload reads them again: a renewed certificate restarts nothing.
  -c "ssl_cert_file=$CONFIG/tls/$NODE.crt"
  -c "ssl_key_file=$CONFIG/tls/$NODE.key"
  # Of no effect while the node is the primary.
  -c "primary_conninfo=$conninfo"
  -c "primary_slot_name=$SLOT"
)
if [ -e "$PGDATA/standby.signal" ]; then
  at_least_the_primarys "$(pg_controldata)"
  # Somebody may have dropped it. Where the WAL is gone, PostgreSQL says so.
  peer "CREATE_REPLICATION_SLOT $SLOT PHYSICAL RESERVE_WAL" > /dev/null || true
else
  look_for_successor start
  [ ! -e "$superseded" ] ||
    refuse "$(cat "$superseded"), and two would drift apart: keep this volume until you know what only it has, then empty it"
fi
ulimit -d "$PROCESS_KIB"
# What reports nested transactions goes as deep as they do and does not look at max_stack_depth, which stays 2 MB: 64 bytes for
# each, and of 8 kB of memory at least no process has more than a quarter of the node's.
ulimit -s 131072 || say "the stack stays at $(ulimit -s) KiB: a hundred thousand savepoints of one session may end the server"
trap - INT TERM QUIT
exec postgres "${options[@]}"
