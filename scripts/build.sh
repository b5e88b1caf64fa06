#!/usr/bin/env bash
# build.sh [configure]: makes ./configure and the makefiles if they aren't
# there, then everything (with "configure": no more than the makefiles). Make
# itself renews them when their sources change. CONFIGURE_ARGS goes to
# ./configure. Run, or sourced after lib.sh for its functions.

build_tree() {
    cd "$TOP"
    [ -e configure ] || step "autoreconf" "$RUN/autoreconf.log" autoreconf -fi
    # shellcheck disable=SC2086  # several arguments in one variable
    [ -e Makefile ] || step "configure" "$RUN/configure.log" ./configure ${CONFIGURE_ARGS:-}
    [ "${1:-}" = configure ] ||
        step "make -j$(nproc)" "$RUN/make.log" make -f Makefile -j"$(nproc)" all
}

# build_beside NAME WHAT CONFIGURE_ARGUMENT...: another build of the same sources
# in build-NAME/, and the current directory there. The sources are what `make
# dist` would ship, in build-NAME/copy: automake refuses a second build directory
# next to a configured tree.
build_beside() {
    local name=$1 what=$2
    shift 2
    build_tree configure
    mkdir -p "$TOP/build-$name"
    step "copy of the sources" "$RUN/$name-sources.log" \
        make --no-print-directory -f Makefile distdir "distdir=build-$name/copy"
    cd "$TOP/build-$name"
    [ -e Makefile ] || step "configure ($what)" "$RUN/$name-configure.log" copy/configure "$@"
    step "make -j$(nproc) ($what)" "$RUN/$name-make.log" make -j"$(nproc)"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    # shellcheck source=scripts/lib.sh
    source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
    trap on_interrupt INT TERM
    build_tree "$@"
fi
