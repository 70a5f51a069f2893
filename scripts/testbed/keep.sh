# shellcheck shell=bash
# keep PROGRAM ARG...: runs a program of a host in the background and starts it again whenever it ends.
#
# Sourced by control-plane.sh and node.sh, with $STATE and $HOST set. Its log is $STATE/log/HOST-PROGRAM.log.
# While there is a file $STATE/paused/HOST-PROGRAM it is not started again: see `cluster.sh pause`.

keep() {
  local name=${1##*/}
  while :; do
    if [ ! -e "$STATE/paused/$HOST-$name" ]; then
      "$@" >>"$STATE/log/$HOST-$name.log" 2>&1 || echo "$name ended with status $?, at $(date +%T)"
    fi
    sleep 0.2
  done &
}
