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
# JSON, one member a line; what is in quotes stays as it is.
awk '
function line() { printf "\n%*s", 2 * depth, "" }
{
    for (i = 1; i <= length($0); i++) {
        c = substr($0, i, 1)
        if (quoted) {
            printf "%s", c
            if (c == "\\") printf "%s", substr($0, ++i, 1)
            else if (c == "\"") quoted = 0
        }
        else if (c == "{" || c == "[") { printf "%s", c; depth++; line() }
        else if (c == "}" || c == "]") { depth--; line(); printf "%s", c }
        else if (c == ",") { printf ","; line() }
        else if (c == ":") printf ": "
        else if (c != " ") { printf "%s", c; quoted = c == "\"" }
    }
    print ""
}' <<<"$body"
[ "$status" = 200 ]
