#!/usr/bin/env bash
# asan.sh [MAKE ARGUMENTS]: builds with AddressSanitizer and UBSan in build-asan/
# and runs the checks there, or makes the targets given: "asan.sh all" only builds.
# BUILDDIR=build-asan has other tests use that larderd.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

trap on_interrupt INT TERM
build_beside asan sanitizers --enable-asan --enable-ubsan --enable-werror

# A finding ends the program with a status that no test expects.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
[ $# -gt 0 ] || set -- check
exec make --no-print-directory -j"$(nproc)" "$@"
