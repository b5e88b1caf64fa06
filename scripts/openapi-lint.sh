#!/usr/bin/env bash
# openapi-lint.sh: holds src/api/openapi.json to .redocly.yaml with Redocly CLI,
# which npx fetches into run/npm: needs Node.js (18 or newer) and the network.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$TOP"
lacking=$(missing openapi | cut -d ' ' -f 1 | xargs)
[ -z "$lacking" ] || die "not installed: $lacking. Install: apt-get install --no-install-recommends $lacking"
mkdir -p "$RUN"
export npm_config_cache=$RUN/npm npm_config_update_notifier=false
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
exec npx --yes @redocly/cli@1.34.5 lint --config .redocly.yaml src/api/openapi.json
