#!/usr/bin/env bash
# redis.sh SOCKET DIR [OPTION VALUE]...
#
# Becomes a private Redis in the foreground: on the unix socket SOCKET and no
# TCP port, without persistence, with DIR (which must exist) as its working
# directory. More options are passed on to redis-server.
set -euo pipefail

[ $# -ge 2 ] || {
    echo "usage: ${0##*/} SOCKET DIR [OPTION VALUE]..." >&2
    exit 2
}
socket=$1 dir=$2
shift 2

# Debian's redis-server package is a system service around a link; the program
# itself is in redis-tools, and acts as the server or as redis-check-rdb by the
# name it is called by.
program=$(command -v redis-server || command -v redis-check-rdb) || {
    echo "${0##*/}: Redis isn't installed (apt-get install redis-tools)" >&2
    exit 1
}
exec -a redis-server "$program" --port 0 --unixsocket "$socket" --unixsocketperm 700 \
    --dir "$dir" --save "" --appendonly no --daemonize no --logfile "" --always-show-logo no "$@"
