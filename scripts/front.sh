#!/usr/bin/env bash
# front.sh lighttpd|nginx PORT SOCKET RUNDIR
#
# Becomes a private web server in the foreground: writes its configuration
# (front-conf.sh) into RUNDIR, which must exist, and executes the server, so the
# process id stays the caller's. SIGTERM stops it at once; nginx takes SIGQUIT
# and lighttpd SIGINT as the request to finish what is under way first.
# Its log is RUNDIR/lighttpd.log or RUNDIR/nginx.log.
set -euo pipefail

[ $# -eq 4 ] || {
    echo "usage: ${0##*/} lighttpd|nginx PORT SOCKET RUNDIR" >&2
    exit 2
}
front=$1 rundir=$4
[ -d "$rundir" ] || {
    echo "${0##*/}: no such directory: $rundir" >&2
    exit 1
}

# Debian keeps both servers where an ordinary user's PATH doesn't look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
command -v "$front" >/dev/null || {
    echo "${0##*/}: $front isn't installed (apt-get install $front)" >&2
    exit 1
}

"$(dirname "${BASH_SOURCE[0]}")/front-conf.sh" "$@" >"$rundir/$front.conf"

case $front in
lighttpd) exec lighttpd -D -f "$rundir/lighttpd.conf" ;;
# -e: what nginx has to say before it has read its configuration.
nginx) exec nginx -e "$rundir/nginx.log" -c "$rundir/nginx.conf" -g "daemon off;" ;;
esac
