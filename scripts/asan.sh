#!/usr/bin/env bash
# asan.sh [MAKE ARGUMENTS]: builds with AddressSanitizer and UBSan and runs the
# checks (or the targets given), in build-asan/. The sources there are what
# `make dist` would ship: automake refuses a second build directory next to a
# configured tree.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

dir=$TOP/build-asan
trap on_interrupt INT TERM

build_tree configure
mkdir -p "$dir/obj"
cd "$TOP"
step "copy of the sources" "$RUN/asan-sources.log" \
    make --no-print-directory -f Makefile distdir distdir=build-asan/src
cd "$dir/obj"
[ -e Makefile ] ||
    step "configure (sanitizers)" "$RUN/asan-configure.log" \
        ../src/configure --enable-asan --enable-ubsan --enable-werror
step "make -j$(nproc) (sanitizers)" "$RUN/asan-make.log" make -j"$(nproc)"

# A finding ends the program with a status that no test expects.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
[ $# -gt 0 ] || set -- check
exec make --no-print-directory -j"$(nproc)" "$@"
