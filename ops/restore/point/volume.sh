#!/usr/bin/env bash
# What a restore does in a node's data volume, in a container without network, as postgres: bash -c … volume ACTION …
# The note is one line of JSON. A rename is one step: what was killed between two is gone on with by the same action.
# Environment: DATA (where the volume is mounted), NOTE, RESTORED (names in it).
set -euo pipefail
cd "$DATA"

note() {
  printf '%s\n' "$1" > "$NOTE.new"
  sync "$NOTE.new"
  mv "$NOTE.new" "$NOTE"
}
action=$1
shift
case $action in
  look) # prints the note, and a line for each data directory
    cat "$NOTE" 2> /dev/null || echo null
    find . -maxdepth 1 -name 'pgdata*' -printf '%f\n' | sort
    ;;
  note) # NOTE
    note "$1"
    ;;
  stage) # NOTE FOLDER: what was kept is to be the current one again
    note "$1"
    [ -e "$RESTORED" ] || mv -T "$2" "$RESTORED"
    ;;
  ready) # NOTE: promoted, and as a node finds it
    state=$(pg_controldata -D "$RESTORED" | sed -n 's/^Database cluster state: *//p')
    [ "$state" = "shut down" ] || {
      echo "$RESTORED is \"$state\", expected \"shut down\"" >&2
      exit 1
    }
    # Of the recovery: a node that is a standby one day would stop at its target.
    : > "$RESTORED/postgresql.auto.conf"
    sync -f .
    note "$1"
    ;;
  swap) # FOLDER: the name under which the current one is kept
    if [ -e "$RESTORED" ]; then
      [ ! -e pgdata ] || mv -T pgdata "$1"
      mv -T "$RESTORED" pgdata
    fi
    # Of a promotion elsewhere, which is history now.
    rm -f superseded
    ;;
  empty) # FOLDER [copy]: the other node's; kept under that name, unless it is a standby's copy of what is kept elsewhere
    if [ "${2:-}" = copy ] && [ -e pgdata/standby.signal ]; then mv -T pgdata pgdata.gone; fi
    if [ -e pgdata ]; then mv -T pgdata "$1"; fi
    rm -rf pgdata.gone pgdata.unfinished superseded
    ;;
  discard) # [FOLDER [KEPT]]: what is restored is that kept one, else deleted; back to its name what a killed swap has kept
    if [ -n "${2:-}" ] && [ -e "$2" ] && [ -e pgdata ] && [ ! -e "$RESTORED" ]; then
      echo "what was restored is the node's data already: restore finish, and restore undo after that" >&2
      exit 1
    fi
    if [ -n "${1:-}" ] && [ -e "$RESTORED" ]; then mv -T "$RESTORED" "$1"; fi
    if [ -n "${2:-}" ] && [ ! -e pgdata ] && [ -e "$2" ]; then mv -T "$2" pgdata; fi
    rm -rf "$RESTORED" "$RESTORED.unfinished"
    rm -f "$NOTE"
    ;;
  done)
    rm -f "$NOTE"
    ;;
esac
sync -f .
