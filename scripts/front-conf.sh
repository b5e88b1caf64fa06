#!/usr/bin/env bash
# front-conf.sh lighttpd|nginx PORT SOCKET RUNDIR [ADDRESS [stderr]]
#
# Prints a private copy of conf/lighttpd.conf or conf/nginx.conf: it listens on
# PORT of ADDRESS (127.0.0.1), passes requests to the FastCGI socket SOCKET,
# runs as whoever starts it, and keeps its pid file, log and temporary files in
# RUNDIR; with "stderr" it logs there. The one place that derives a
# configuration: what is tried and measured is what ships, in containers too.
#
# It rewrites the lines that carry a mark (#@port, ...) and fails when a mark is
# missing or one is left over, so that an edit of conf/ can't go unnoticed.
set -euo pipefail

usage() {
    echo "usage: ${0##*/} lighttpd|nginx PORT SOCKET RUNDIR [ADDRESS [stderr]]" >&2
    exit 2
}

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

[[ $# -ge 4 && $# -le 6 && $1 == @(lighttpd|nginx) && ${6-stderr} == stderr ]] || usage
front=$1 port=$2 socket=$3 rundir=$4 address=${5-127.0.0.1} log=${6-}
conf=$(cd "$(dirname "${BASH_SOURCE[0]}")/../conf" && pwd)/$front.conf

[[ $port =~ ^[1-9][0-9]{0,4}$ ]] || die "PORT must be 1 to 65535, not '$port'"
((port <= 65535)) || die "PORT must be 1 to 65535, not '$port'"
[[ $address =~ ^([0-9.]+|\[[0-9A-Fa-f:.]+\])$ ]] ||
    die "ADDRESS must be an IPv4 address, or an IPv6 address in brackets, not '$address'"
for path in "$socket" "$rundir"; do
    [[ $path == /* ]] || die "not an absolute path: '$path'"
    # Both servers give these characters a meaning, even between quotes.
    [[ $path != *[\"\\\$$'\n']* ]] || die "a path may not contain \" \\ or \$: '$path'"
done
# The size of sun_path; a longer one would be cut short or refused later on.
((${#socket} <= 107)) || die "the socket's path is longer than 107 bytes: '$socket'"

text=$(cat "$conf") || die "can't read $conf"

# replace MARK COUNT LINE: every line that ends in #@MARK becomes LINE; there
# must be COUNT of them. An empty LINE removes the setting.
replace() {
    local mark=$1 count=$2 new=$3 line found=0 out=
    while IFS= read -r line; do
        if [[ $line == *"#@$mark" ]]; then
            found=$((found + 1))
            line=${new:+${line%%[![:space:]]*}$new}
        fi
        out+=$line$'\n'
    done <<<"$text"
    [ "$found" -eq "$count" ] ||
        die "$conf: expected $count line(s) marked #@$mark, found $found"
    text=${out%$'\n'}
}

case $front in
lighttpd)
    replace bind 1 "server.bind = \"$address\""
    replace port 1 "server.port = $port"
    replace user 1 ""
    replace group 1 ""
    replace pid 1 "server.pid-file = \"$rundir/lighttpd.pid\""
    # Without a file lighttpd logs on standard error.
    errorlog=
    [ -n "$log" ] || errorlog="server.errorlog = \"$rundir/lighttpd.log\""
    replace errorlog 1 "$errorlog"
    replace uploads 1 "server.upload-dirs = ( \"$rundir\" )"
    replace docroot 1 "server.document-root = \"$rundir\""
    replace socket 2 "\"socket\" => \"$socket\","
    ;;
nginx)
    # Only a master with root's rights changes its workers' user.
    user=
    [ "$(id -u)" -ne 0 ] || user="user root;"
    replace user 1 "$user"
    replace pid 1 "pid \"$rundir/nginx.pid\";"
    errorlog=stderr
    [ -n "$log" ] || errorlog="\"$rundir/nginx.log\""
    replace errorlog 1 "error_log $errorlog error;"
    replace "temp body" 1 "client_body_temp_path \"$rundir/nginx-body\";"
    for kind in fastcgi proxy uwsgi scgi; do
        replace "temp $kind" 1 "${kind}_temp_path \"$rundir/nginx-$kind\";"
    done
    replace socket 1 "server \"unix:$socket\";"
    replace listen 1 "listen $address:$port backlog=1024;"
    ;;
esac

left=$(grep -n '#@[a-z]*\( [a-z]*\)\?$' <<<"$text" || true)
[ -z "$left" ] || die "$conf: marks that nothing replaces: $left"
echo "$text"
