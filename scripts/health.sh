#!/usr/bin/env bash
# health.sh: what the service on 127.0.0.1:PORT (8000) says about its health,
# one member a line. Status 0 if it is healthy.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_port_and_front
url=http://127.0.0.1:$PORT/health
have_command curl || die "curl isn't installed: apt-get install curl"

# The status comes as the last line, after the body.
if ! answer=$(curl -sS --max-time 10 -w '\n%{http_code}' "$url" 2>&1); then
    die "nothing answers on $url. Start the service with ./quickstart (or PORT=... make health)"
fi
status=${answer##*$'\n'} body=${answer%$'\n'*}

say "$url: $status"
# Flat JSON to lines; quoted text is left as it is.
sed -E 's/^\{//; s/\}$//; s/,("[A-Za-z_]+":)/\n\1/g' <<<"$body" |
    sed -E 's/^"([A-Za-z_]+)":[[:space:]]*/  \1: /'
[ "$status" = 200 ]
