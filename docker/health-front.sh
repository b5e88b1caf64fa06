#!/usr/bin/env bash
# health-front.sh [PORT]: succeeds if GET /health/live, through the web server
# on PORT (8000) and the pool behind it, answers 200. By bash alone: the images
# have no curl.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-8000}"
printf 'GET /health/live HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3 || exit 1
[ "$status" = 200 ]
