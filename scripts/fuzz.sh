#!/usr/bin/env bash
# fuzz.sh: builds the fuzzing targets (tests/fuzz/targets.def) with libFuzzer, AddressSanitizer and
# UBSan in build-fuzz/, and runs each for a while. Status 1 if one of them found something.
#
#   TIME=60           seconds for each; default: so many that all of them take a minute
#   TARGET="key json" only these
#   JOBS=2            at a time; default 2, or 1 on one core
#   COVERAGE=1        tells how many lines of its files each target reaches
#   SEED=1            the same tries as another run with this seed, from the same corpus
#   KEEP=1            writes what was found to reach new code to tests/fuzz/corpus/
#
# What was reached is kept in build-fuzz/corpus/, and a later run starts from there.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/build.sh
source "$TOP/scripts/build.sh"

DIR=$TOP/build-fuzz
BIN=$DIR/bin
FUZZ=$TOP/tests/fuzz
JOBS=${JOBS:-$(($(nproc) > 1 ? 2 : 1))}
declare -A LONGEST FILES
ALL=()

read_targets() {
    local name longest files
    while IFS='|' read -r name longest files; do
        ALL+=("$name")
        LONGEST[$name]=$longest
        FILES[$name]=$files
    done < <(sed -n 's/^TARGET(\([a-z]*\), \([0-9]*\), "\(.*\)")$/\1|\2|\3/p' "$FUZZ/targets.def")
}

check_arguments() {
    local target number='^[1-9][0-9]{0,5}$'
    for target in "${targets[@]}"; do
        [ -n "${LONGEST[$target]:-}" ] ||
            die "TARGET: there is no '$target'. There are: ${ALL[*]}"
    done
    [[ $TIME =~ $number ]] || die "TIME is a whole number of seconds, not '$TIME'"
    [[ $JOBS =~ $number ]] || die "JOBS is a whole number, not '$JOBS'"
}

build() {
    step "make (libFuzzer, sanitizers)" "$RUN/fuzz-make.log" make -j"$(nproc)" \
        --no-print-directory -f tests/fuzz/build.mk KIND=fuzz OUT=build-fuzz/bin TARGETS="${targets[*]}" fuzzers
    [ -z "${COVERAGE:-}" ] || step "make (coverage)" "$RUN/fuzz-coverage.log" make -j"$(nproc)" \
        --no-print-directory -f tests/fuzz/build.mk KIND=coverage OUT=build-fuzz/coverage replay
}

# inputs TARGET: the folders with what is known to be worth trying.
inputs() {
    local folder
    for folder in "$DIR/corpus/$1" "$DIR/seeds/$1" "$FUZZ/regressions/$1"; do
        [ ! -d "$folder" ] || printf '%s\n' "$folder"
    done
}

# fuzz TARGET: in the background; its log tells how it went.
fuzz() {
    local target=$1 folders arguments
    mkdir -p "$DIR/corpus/$target" "$DIR/findings/$target"
    rm -rf "$DIR/seeds/$target"
    "$FUZZ/seeds.py" unpack "$target" "$DIR/seeds/$target" >/dev/null
    mapfile -t folders < <(inputs "$target")
    arguments=(-max_total_time="$TIME" -max_len="${LONGEST[$target]}" -timeout=20
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$DIR/findings/$target/")
    [ -z "${SEED:-}" ] || arguments+=(-seed="$SEED")
    [ ! -e "$FUZZ/seeds/$target.dict" ] || arguments+=(-dict="$FUZZ/seeds/$target.dict")
    "$BIN/$target" "${arguments[@]}" "${folders[@]}" >"$RUN/fuzz-$target.log" 2>&1 </dev/null
}

statistic() { sed -n "s/^stat::$2: *//p" "$RUN/fuzz-$1.log"; }

# coverage TARGET: the percentage of its files' lines that its inputs reach.
coverage() {
    local target=$1 profile=$DIR/coverage/$1.profraw files=() folders
    mapfile -t folders < <(inputs "$target")
    read -ra files <<<"${FILES[$target]}"
    LLVM_PROFILE_FILE=$profile "$DIR/coverage/replay" "$target" "${folders[@]}" >/dev/null 2>&1 || true
    llvm-profdata merge -o "$profile.data" "$profile"
    llvm-cov report "$DIR/coverage/replay" -instr-profile="$profile.data" "${files[@]/#/src/}" |
        awk '$1 == "TOTAL" { print $10 }'
}

# row TARGET STATUS: its line of the table. A target ends with another status than 0 if it found
# something, or could not run.
row() {
    local target=$1 found reached=-
    found=$(find "$DIR/findings/$target" -type f -newer "$DIR/started" | wc -l)
    [ -z "${COVERAGE:-}" ] || reached=$(coverage "$target")
    printf '  %-10s %12s %9s %8s %9s %9s\n' "$target" "$(statistic "$target" number_of_executed_units)" \
        "$(statistic "$target" average_exec_per_sec)" \
        "$(find "$DIR/corpus/$target" -type f | wc -l)" "$reached" "$found"
    [ "$2" -eq 0 ] || failed+=("$target")
}

# What the targets found, and what to do with it.
tell_findings() {
    local target file
    for target in "${failed[@]}"; do
        say ""
        file=$(find "$DIR/findings/$target" -type f -newer "$DIR/started" | head -n 1)
        if [ -z "$file" ]; then
            say "$target ended without a finding. Its log: $RUN/fuzz-$target.log"
            show_log "$RUN/fuzz-$target.log"
            continue
        fi
        grep -m 1 -E 'is not so|runtime error|ERROR: AddressSanitizer|ERROR: libFuzzer' \
            "$RUN/fuzz-$target.log" || true
        say "  again:       build-fuzz/bin/$target ${file#"$TOP/"}"
        say "  smaller:     build-fuzz/bin/$target -minimize_crash=1 -max_total_time=30 ${file#"$TOP/"}"
        say "  for good:    cp ${file#"$TOP/"} tests/fuzz/regressions/$target/NAME"
        say "  its log:     ${RUN#"$TOP/"}/fuzz-$target.log"
    done
}

# keep TARGET: the smallest set of inputs that reaches all that was reached; says how many.
keep() {
    local target=$1 folders
    rm -rf "$DIR/kept/$target"
    mkdir -p "$DIR/kept/$target"
    mapfile -t folders < <(inputs "$target")
    "$BIN/$target" -merge=1 -max_len="${LONGEST[$target]}" "$DIR/kept/$target" "${folders[@]}" \
        >"$RUN/fuzz-keep-$target.log" 2>&1
    "$FUZZ/seeds.py" pack "$DIR/kept/$target" "$FUZZ/corpus/$target.txt"
}

declare -A RUNNING=()
stop_all() {
    local pid
    for pid in "${!RUNNING[@]}"; do kill "$pid" 2>/dev/null || true; done
    on_interrupt
}

# wait_for_one: until one of them has ended, whose row is written.
wait_for_one() {
    local pid status=0
    wait -n -p pid "${!RUNNING[@]}" || status=$?
    row "${RUNNING[$pid]}" "$status"
    unset "RUNNING[$pid]"
}

cd "$TOP"
lacking=$(missing fuzz | cut -d ' ' -f 1 | xargs)
[ -z "$lacking" ] || die "not installed: $lacking. Install: apt-get install --no-install-recommends $lacking, or run ./quickstart fuzz"
read_targets
read -ra targets <<<"${TARGET:-${ALL[*]}}"
rounds=$(((${#targets[@]} + JOBS - 1) / JOBS))
TIME=${TIME:-$((60 / rounds > 0 ? 60 / rounds : 1))}
check_arguments
trap on_interrupt INT TERM
build_tree configure
step "make (what is generated)" "$RUN/fuzz-generated.log" \
    make --no-print-directory -f Makefile config.h src/redis/scripts.inc src/api/openapi.inc
build
mkdir -p "$DIR/findings"
touch "$DIR/started"

say ""
say "${#targets[@]} targets, $TIME s each, $JOBS at a time: $((rounds * TIME)) s"
say ""
printf '  %-10s %12s %9s %8s %9s %9s\n' target executions "a second" corpus coverage findings
failed=()
trap stop_all INT TERM
for target in "${targets[@]}"; do
    ((${#RUNNING[@]} < JOBS)) || wait_for_one
    fuzz "$target" &
    RUNNING[$!]=$target
done
while ((${#RUNNING[@]} > 0)); do wait_for_one; done
trap on_interrupt INT TERM

if [ -n "${KEEP:-}" ]; then
    say ""
    for target in "${targets[@]}"; do
        column "corpus of $target"
        say "$(keep "$target") inputs"
    done
fi
tell_findings
say ""
if ((${#failed[@]} > 0)); then
    say "fuzz: found something: ${failed[*]}"
    exit 1
fi
say "fuzz: found nothing"
