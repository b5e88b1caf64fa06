#!/usr/bin/env bash
# floors.sh: holds src/ to its architecture. The folders are floors; a file includes only its own
# floor or one below; a foreign library's header is included by one .c file; every source file is
# in Makefile.am. Status 0 if all of that is so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

floors=(base redis cache http api process)
# header of a library: the one file that may include it
foreign=(
    'fcgiapp.h src/http/fcgi.c'
    'fcgios.h src/http/fcgi.c'
    'hiredis/ src/redis/wire.c'
    'json-c/ src/base/json.c'
    'nettle/ src/base/digest.c'
    'xxhash.h src/base/digest.c'
)
faults=0

fault() {
    echo "floors: $*" >&2
    faults=$((faults + 1))
}

height() {
    local i
    for i in "${!floors[@]}"; do
        [ "${floors[$i]}" != "$1" ] || { echo "$i"; return; }
    done
    echo -1
}

while IFS=: read -r file _ include; do
    from=$(cut -d / -f 2 <<<"$file")
    to=$(sed -n 's/.*"\([a-z]*\)\/.*/\1/p' <<<"$include")
    [ -n "$to" ] || { fault "$file: include by floor, as in \"base/buf.h\": $include"; continue; }
    # A main stands on the roof.
    case $from in *.c) continue ;; esac
    (($(height "$to") >= 0)) || fault "$file: no such floor: $include"
    (($(height "$to") <= $(height "$from"))) || fault "$file: looks up: $include"
done < <(grep -rn '^#include "' src --include='*.[ch]')

for entry in "${foreign[@]}"; do
    read -r header owner <<<"$entry"
    while read -r file; do
        [ "$file" = "$owner" ] || fault "$file: only $owner may include <$header>"
    done < <(grep -rl "^#include <$header" src)
    grep -q "^#include <$header" "$owner" || fault "$owner doesn't include <$header>: mend this list"
done

while read -r file; do
    grep -q "$file" Makefile.am || fault "$file is not in Makefile.am"
done < <(find src tests/unit tests/fuzz -name '*.[ch]' -o -name '*.def' | sort)

if ((faults > 0)); then
    echo "floors: $faults faults" >&2
    exit 1
fi
echo "floors: the includes point one way"
