#!/usr/bin/env bash
# Ends the sessions of the roles in the arguments by the titles of their processes, and prints how many there were: for the
# moment in which the server lets nobody in, the superuser neither. What it sends is what pg_terminate_backend sends.
set -euo pipefail
ended=0
for process in /proc/[0-9]*; do
  title=$(tr '\0' ' ' 2> /dev/null < "$process/cmdline") || continue # it has ended
  for role in "$@"; do
    # With cluster_name in front: postgres: pg16-primary: gtapp appdb 172.18.0.1(51234) idle in transaction
    if [[ $title == "postgres: $NODE: $role "* ]]; then
      kill -TERM "${process#/proc/}"
      ended=$((ended + 1))
    fi
  done
done
echo "$ended"
