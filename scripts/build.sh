#!/usr/bin/env bash
# build.sh [configure]: makes ./configure and the makefiles if they aren't
# there, then everything (with "configure": no more than the makefiles). Make
# itself renews them when their sources change. CONFIGURE_ARGS goes to
# ./configure. Run, or sourced after lib.sh for its function.

build_tree() {
    cd "$TOP"
    [ -e configure ] || step "autoreconf" "$RUN/autoreconf.log" autoreconf -fi
    # shellcheck disable=SC2086  # several arguments in one variable
    [ -e Makefile ] || step "configure" "$RUN/configure.log" ./configure ${CONFIGURE_ARGS:-}
    [ "${1:-}" = configure ] ||
        step "make -j$(nproc)" "$RUN/make.log" make -f Makefile -j"$(nproc)" all
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    # shellcheck source=scripts/lib.sh
    source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
    trap on_interrupt INT TERM
    build_tree "$@"
fi
