#!/usr/bin/env bash
# What a node's container runs, as the user postgres. Which role the node has is a fact of its data (standby.signal), not
# of this container. It never makes a data directory of its own: an empty volume is filled from the peer, or refused.
#
# Environment: NODE and PEER (host names), SLOT (this node's slot on its peer), PGDATA, CONFIG (folder of the files).
set -euo pipefail

say() { echo "centraldb: $*" >&2; }
refuse() {
  say "$NODE refuses to start: $*"
  exit 1
}
# As process 1 it would ignore them otherwise.
trap 'exit 130' INT TERM QUIT

conninfo="host=$PEER port=5432 user=repl passfile=$CONFIG/pgpass application_name=$NODE connect_timeout=5"
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

  say "its volume is empty: copying $PEER"
  # Left by an earlier clone, or lost its WAL; in use it cannot be dropped, and the copy fails with PostgreSQL's words.
  peer "DROP_REPLICATION_SLOT $SLOT" > /dev/null || true
  rm -rf "$PGDATA.unfinished"
  pg_basebackup -d "$conninfo" -D "$PGDATA.unfinished" --create-slot --slot="$SLOT" -X stream --checkpoint=fast &
  wait $! || refuse "the copy of $PEER failed, see above"
  touch "$PGDATA.unfinished/standby.signal"
  # Under its own name only when it is whole: what a killed clone leaves is never taken for data.
  mv "$PGDATA.unfinished" "$PGDATA"
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

[ -r "$CONFIG/postgresql.conf" ] ||
  refuse "its configuration volume is empty: pulumi up --target-replace '**cluster-configuration' writes it again"
[ -s "$PGDATA/PG_VERSION" ] || clone

options=(
  -c "config_file=$CONFIG/postgresql.conf"
  -c "hba_file=$CONFIG/pg_hba.conf"
  -c "ident_file=$CONFIG/pg_ident.conf"
  -c "cluster_name=$NODE"
  # Of no effect while the node is the primary.
  -c "primary_conninfo=$conninfo"
  -c "primary_slot_name=$SLOT"
)
if [ -e "$PGDATA/standby.signal" ]; then
  at_least_the_primarys "$(pg_controldata)"
elif [ "$(peer 'SHOW in_hot_standby')" = off ]; then
  # After a failover it missed: what it has and the new primary lacks must not be served.
  refuse "$PEER is the primary now, and two would drift apart: keep this volume until you know what only it has, then empty it"
fi
trap - INT TERM QUIT
exec postgres "${options[@]}"
