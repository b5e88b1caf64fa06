#!/usr/bin/env bash
# valgrind.sh [unit|e2e|all] [PYTEST ARGUMENTS]: the tests, with the unit tests
# and every larderd under valgrind: no error, no lost block, no descriptor left
# open. The unit tests take about 5 minutes, the end-to-end tests about an hour;
# their arguments choose some (-k cache, test_31_batch.py).
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

have cmd:valgrind || die "not installed: valgrind. Install: apt-get install --no-install-recommends valgrind"
trap on_interrupt INT TERM
build_tree
step "what the tests need" "$RUN/make-tests.log" make -j"$(nproc)" test-programs
LARDER_VALGRIND=1 exec "$TOP/tests/run" "$@"
