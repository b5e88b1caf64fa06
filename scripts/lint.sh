#!/usr/bin/env bash
# lint.sh: clang-format (a look, no change), cppcheck, clang-tidy, shellcheck.
# Status 0 if none of them has a finding.
# lint.sh format: lays out the C sources with clang-format, in place.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

cd "$TOP"
lacking=$(missing lint | cut -d ' ' -f 1 | xargs)
[ -z "$lacking" ] || die "not installed: $lacking. Install: apt-get install --no-install-recommends $lacking"

folders=()
for folder in src tests bench fuzz; do
    [ ! -d "$folder" ] || folders+=("$folder")
done
mapfile -t sources < <(find "${folders[@]}" -name '*.c' | sort)
mapfile -t all < <(find "${folders[@]}" -name '*.[ch]' | sort)

if [ "${1:-}" = format ]; then
    clang-format -i "${all[@]}"
    say "laid out ${#all[@]} files"
    exit
fi

trap on_interrupt INT TERM
# clang-tidy needs config.h and what the build generates.
build_tree

step "clang-format" "$RUN/clang-format.log" clang-format --dry-run -Werror "${all[@]}"
step "cppcheck" "$RUN/cppcheck.log" cppcheck --quiet --error-exitcode=1 --inline-suppr \
    --std=c11 -j "$(nproc)" --enable=warning,performance,portability --library=posix \
    -Isrc -I. -DHAVE_CONFIG_H "${folders[@]}"
read -ra flags <<<"$(pkg-config --cflags fcgi hiredis json-c libxxhash nettle check 2>/dev/null || true)"
export CLANG_TIDY_FLAGS="-std=c17 -include config.h -DLARDER_SYSCONFDIR=\"/etc\" -Isrc -Itests/unit -I. ${flags[*]}"
# shellcheck disable=SC2016  # expanded by the inner shell
step "clang-tidy" "$RUN/clang-tidy.log" bash -c \
    'printf "%s\0" "$@" | xargs -0 -n 1 -P "$(nproc)" sh -c '\''clang-tidy --quiet "$@" -- $CLANG_TIDY_FLAGS'\'' sh' \
    bash "${sources[@]}"
step "shellcheck" "$RUN/shellcheck.log" shellcheck -x quickstart .ci/run bench/run scripts/*.sh docker/*.sh
