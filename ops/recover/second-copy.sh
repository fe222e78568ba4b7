#!/usr/bin/env bash
# What `recover` does with a second copy and a new machine's volumes, in a container without network, as root: bash -c … ACTION …
# The copy is mounted on /copy, read-only; volumes below /volumes, the backups' on /backups.
set -euo pipefail
umask 077
# Its files are for their owner only, and a share may let no other user of this machine read them, root neither.
as_owner() { gosu "$(stat -c %u "$1")" "${@:2}"; }

case $1 in
  look) # prints a line for each state and each whole backup
    cd /copy
    if [ -d state ]; then as_owner state find state -maxdepth 1 -name '*.json'; fi
    if [ -d backups ]; then as_owner backups find backups -mindepth 2 -maxdepth 2 -name manifest.json; fi
    ;;
  state) # STACK
    as_owner /copy/state cat "/copy/state/$2.json"
    ;;
  occupied) # prints the names of volumes that have something
    cd /volumes
    for name in *; do
      # Backups that no agent has served are of a run before this one.
      if [ ! -e "$name/settings.json" ] && { [ -e "$name/backups" ] || [ -e "$name/unfinished" ]; }; then continue; fi
      [ -z "$(ls -A "$name")" ] || echo "$name"
    done
    ;;
  fill) # backups and WAL with their times: a window ends when its newest WAL came in
    install -d -o postgres -g postgres -m 700 /backups
    rm -rf /backups/unfinished
    [ ! -e /backups/backups ] || exit 0
    gosu postgres mkdir /backups/unfinished
    cd /copy
    # What was being copied when its machine was lost has no manifest.
    mapfile -t parts < <(as_owner backups find backups -mindepth 2 -maxdepth 2 -name manifest.json -printf '%h\n')
    [ ! -d wal ] || parts+=(wal)
    as_owner backups tar --format=posix --mode=u=rwX,go= -cf - "${parts[@]}" | gosu postgres tar -C /backups/unfinished -xf -
    sync -f /backups
    rm -rf /backups/wal
    [ ! -d wal ] || mv -T /backups/unfinished/wal /backups/wal
    # Last: where they are, all is.
    mv -T /backups/unfinished/backups /backups/backups
    rmdir /backups/unfinished
    ;;
esac
