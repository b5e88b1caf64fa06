#!/usr/bin/env bash
# coverage.sh [unit|e2e|all] [PYTEST ARGUMENTS]: which lines and branches of src/
# the tests run. Builds with --enable-coverage in build-coverage/, runs the tests
# there (all unless told otherwise), and shows a table of the files; every line
# with its counts is in build-coverage/html/index.html. Fails below 90 % of the
# lines or 80 % of the branches, and if a test failed.
# coverage.sh report: the table again, of what was counted last.
#   KEEP=1    adds to what was counted before (to count it in pieces)
#
# A process adds its counts to a file per object when it exits, one process at a
# time. A process that is killed takes its own along; nothing is lost by that
# but what only such processes do. Every process has one thread, so the counters
# need not be atomic. A branch is one of the ways out of a condition, each && and
# || for itself, as gcov counts them without optimization; none is left out but
# those that stand on a line without code.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

dir=$TOP/build-coverage
lacking=$(missing coverage | cut -d ' ' -f 1 | xargs)
[ -z "$lacking" ] || die "not installed: $lacking. Install: apt-get install --no-install-recommends $lacking"
trap on_interrupt INT TERM

report() {
    cd "$dir"
    [ -n "$(find . -name '*.gcda' -print -quit)" ] || die "nothing was counted yet: run make coverage"
    mkdir -p html
    step "report" "$RUN/coverage-report.log" gcovr -j "$(nproc)" --root copy --object-directory . \
        --filter 'copy/src/' --exclude-unreachable-branches --sort-uncovered \
        --json-summary coverage.json --html-details html/index.html --html-title larder .
    /usr/bin/python3 "$TOP/scripts/coverage.py" coverage.json
    say "every line, with its counts: $dir/html/index.html"
}

if [ "${1:-}" = report ]; then
    report
    exit
fi

build_beside coverage coverage --enable-coverage --enable-werror
step "what the tests need" "$RUN/coverage-tests.log" make -j"$(nproc)" test-programs
[ -n "${KEEP:-}" ] || find . -name '*.gcda' -delete
tests=0
BUILDDIR=$dir SRCDIR=$dir/copy "$TOP/tests/run" "$@" || tests=1
report
exit "$tests"
