#!/usr/bin/env bash
# serve.sh: runs the private stack (Redis, larderd, web server) on
# http://127.0.0.1:PORT until Ctrl-C or SIGTERM, then stops it in order and
# ends with 0. Needs a built tree.
#
# PORT=8000, FRONT=lighttpd or nginx, LARDERD=path of the daemon. Options of
# larderd that don't say where things are can be set in the environment
# (MAX_MEMORY=100mb) or in conf/larder.conf.
#
# Everything is private to this run: Redis listens on a unix socket only, the
# sockets and the statistics segment are in a directory in memory that goes
# away with it, the logs are in run/PORT. If one of the three dies, its last
# words are shown, the rest is stopped, and the status is 1.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

READY_MS=10000  # for one part to become ready
STOP_MS=8000    # for one part to stop before it is killed; larderd drains for up to 5 s

declare -A PID=() LOG=()
STARTED=()      # in the order of their start
PRIVATE=

cleanup() {
    local status=$?
    trap '' INT TERM HUP
    stop_all
    [ -z "$PRIVATE" ] || [ "$PRIVATE" = "$LOGS" ] || rm -rf "$PRIVATE"
    exit "$status"
}

# make_private_dir: sockets and the segment want a short path and memory.
make_private_dir() {
    if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ]; then
        PRIVATE=$(mktemp -d /dev/shm/larder.XXXXXX)
    else
        PRIVATE=$(mktemp -d "${TMPDIR:-/tmp}/larder.XXXXXX")
    fi
}

# launch NAME COMMAND...: starts a part with its output in its log. A session
# of its own keeps Ctrl-C from it (it is stopped in order); the parent-death
# signal stops it even if this script is killed outright.
launch() {
    local name=$1
    shift
    LOG[$name]=$LOGS/$name.log
    setsid setpriv --pdeathsig TERM "$@" >"${LOG[$name]}" 2>&1 </dev/null &
    PID[$name]=$!
    STARTED+=("$name")
}

running() { kill -0 "${PID[$1]}" 2>/dev/null; }

# await NAME TEST...: until the command TEST succeeds, with a bound.
await() {
    local name=$1 start
    shift
    start=$(now_ms)
    column "$name"
    until "$@" >/dev/null 2>&1; do
        if ! running "$name"; then
            say "ended while starting"
            failed "$name"
        fi
        if (($(now_ms) - start > READY_MS)); then
            say "not ready after $((READY_MS / 1000)) s"
            show_log "${LOG[$name]}"
            die "$name doesn't get ready. The whole log: ${LOG[$name]}"
        fi
        sleep 0.02 || true
    done
    say "ready after $(($(now_ms) - start)) ms"
}

# failed NAME: it ended by itself; never returns.
failed() {
    local name=$1 status=0 how
    wait "${PID[$name]}" 2>/dev/null || status=$?
    how="status $status"
    ((status <= 128)) || how="signal $(kill -l "$((status - 128))")"
    show_log "${LOG[$name]}"
    die "$name ended by itself ($how). The whole log: ${LOG[$name]}"
}

# stop NAME SIGNAL MS: asks with SIGNAL and waits MS, then with TERM, then KILL.
stop() {
    local name=$1 start until
    running "$name" || return 0
    start=$(now_ms)
    column "stopping $name"
    local signal
    for signal in "$2" TERM KILL; do
        kill -s "$signal" "${PID[$name]}" 2>/dev/null || true
        until=$(($(now_ms) + $3))
        while running "$name" && (($(now_ms) < until)); do
            sleep 0.02 || true
        done
        running "$name" || break
    done
    say "$(($(now_ms) - start)) ms"
}

# stop_all: the web server first, so that what is under way is still answered;
# then the pool; then Redis.
stop_all() {
    local i name
    for ((i = ${#STARTED[@]} - 1; i >= 0; i--)); do
        name=${STARTED[i]}
        case $name in
        nginx) stop "$name" QUIT 2000 ;;
        lighttpd) stop "$name" INT 2000 ;;
        *) stop "$name" TERM "$STOP_MS" ;;
        esac
    done
}

redis_answers() { [ "$(redis-cli -s "$PRIVATE/redis.sock" ping)" = PONG ]; }
pool_listens() { [ -S "$PRIVATE/larder.sock" ]; }

# service_healthy: GET /health answers 200. By bash alone, so that it costs
# less than a millisecond.
service_healthy() {
    local status
    (
        exec 3<>"/dev/tcp/127.0.0.1/$PORT"
        printf 'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
        read -r -t 2 _ status _ <&3
        [ "$status" = 200 ]
    )
}

start_all() {
    launch redis "$TOP/scripts/redis.sh" "$PRIVATE/redis.sock" "$LOGS"
    await redis redis_answers

    # Where things are is decided here, whatever the environment says, and who
    # runs them: all of this is private to whoever started it, root too.
    local user=()
    [ "$(id -u)" -ne 0 ] || user=(--user root)
    launch larderd env -u REDIS_URL -u REDIS_HOST -u REDIS_PORT -u REDIS_DB -u REDIS_USERNAME \
        -u REDIS_PASSWORD -u REDIS_PASSWORD_FILE -u LARDER_PID_FILE -u LARDER_LOG_FILE \
        -u LARDER_DAEMON -u LARDER_USER -u LARDER_GROUP \
        "$LARDERD" --config "$TOP/conf/larder.conf" --listen "$PRIVATE/larder.sock" \
        --run-dir "$PRIVATE" --redis-socket "$PRIVATE/redis.sock" "${user[@]}"
    await larderd pool_listens

    launch "$FRONT" "$TOP/scripts/front.sh" "$FRONT" "$PORT" "$PRIVATE/larder.sock" "$LOGS"
    await "$FRONT" service_healthy
}

# watch: until a signal ends the script, or a part ends by itself.
watch() {
    local name
    while :; do
        for name in "${STARTED[@]}"; do
            running "$name" || failed "$name"
        done
        wait -n "${PID[@]}" 2>/dev/null || true
    done
}

main() {
    need_port_and_front
    LARDERD=${LARDERD:-$TOP/larderd}
    LOGS=$RUN/$PORT
    [ -x "$LARDERD" ] || die "there is no $LARDERD: ./quickstart or make builds it"
    local lacking
    lacking=$(missing run "$FRONT" | cut -d ' ' -f 1 | xargs)
    [ -z "$lacking" ] ||
        die "not installed: $lacking. ./quickstart installs it; so does: apt-get install $lacking"
    need_free_port "$PORT" "$COMMAND"

    mkdir -p "$LOGS"
    BEGIN=$(now_ms)
    # Leaving in the trap itself, so that no signal comes between a look at a
    # flag and the wait.
    trap 'echo; exit 0' INT TERM HUP
    trap cleanup EXIT
    make_private_dir
    start_all
    announce "http://127.0.0.1:$PORT" "$FRONT, $(elapsed "$BEGIN") after the start"
    say "Logs are in ${LOGS#"$PWD/"}. Ctrl-C stops everything."
    watch
}

COMMAND=${1:-scripts/serve.sh}
main
