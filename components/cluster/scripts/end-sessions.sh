#!/usr/bin/env bash
# Ends the sessions of the roles in the arguments, of the logins of a restore that become one of them, and logins under way, by the
# titles of their processes, and prints how many there were. It needs no login: whoever fills the lock table keeps everybody out, the
# superuser too. What it sends is what pg_terminate_backend sends. Environment: NODE (the server's cluster_name); UNNAMED=1: connections
# too that have not said yet as whom they come, which would be let in by the pg_hba.conf there was when they came; KILL=1: what has
# not ended after 10 s is killed, at which the server ends everybody's sessions and recovers. Exit status 3 where some go on.
set -euo pipefail

# What a process is called, into `title`. By bash alone: where no process can be made any more, none would look like one that has ended.
title_of() {
  local words
  mapfile -d '' -t words 2> /dev/null < "/proc/$1/cmdline" || return
  title="${words[*]}"
}

# Of the server itself, which a process of its own bears until it knows whose it is.
title_of 1
server=$title

# Process ids, one per line.
sessions() {
  local process title role parent
  for process in /proc/[0-9]*; do
    title_of "${process#/proc/}" || continue # it has ended
    if [ "${UNNAMED:-}" = 1 ] && [ "$title" = "$server" ]; then
      read -r _ _ _ parent _ 2> /dev/null < "$process/stat" || continue
      [ "$parent" != 1 ] || echo "${process#/proc/}"
    fi
    for role in "$@"; do
      # postgres: pg16-primary: gtapp appdb 172.18.0.1(51234) idle in transaction
      case $title in
        "postgres: $NODE: $role "* | "postgres: $NODE: ${role}_restore_"*) echo "${process#/proc/}" ;;
      esac
    done
  done
}

mapfile -t found < <(sessions "$@")
[ "${#found[@]}" -eq 0 ] || kill -TERM "${found[@]}" 2> /dev/null || true # some may have ended themselves
for _ in $(seq 100); do
  left=0
  for pid in "${found[@]}"; do
    ! kill -0 "$pid" 2> /dev/null || left=$((left + 1))
  done
  [ "$left" -gt 0 ] || break
  sleep 0.1
done
if [ "$left" -gt 0 ]; then
  [ "${KILL:-}" = 1 ] || {
    echo "$left of ${#found[@]} have not ended after 10 s: they roll back, or do what cannot be interrupted; npm run ops -- end-sessions" \
      "with --kill ends them, and the server everybody's" >&2
    exit 3
  }
  # Who bears a role's name now: a number may have become another's.
  mapfile -t stuck < <(sessions "$@")
  kill -KILL "${stuck[@]}" 2> /dev/null || true
fi
echo "${#found[@]}"
