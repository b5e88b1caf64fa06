# shellcheck shell=bash
# What the scripts share: saying things, timing and logging steps, knowing
# which packages are missing and whether a port is taken. Sourced, never run.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Debian keeps servers where an ordinary user's PATH doesn't look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# Logs of everything, and the private stack's files: ignored by git, kept when
# the stack stops, overwritten by its next start.
# shellcheck disable=SC2034  # for the scripts that source this one
RUN=$TOP/run

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# now_ms: milliseconds on a clock that is good for differences.
now_ms() {
    local t=${EPOCHREALTIME/[.,]/}
    echo "$((t / 1000))"
}

# elapsed START: the time since then, as 1.2 s
elapsed() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' "$((ms / 1000))" "$((ms % 1000 / 100))"
}

# column TEXT: the left column of every line about a step.
column() { printf '  %-38s' "$1"; }

# show_log FILE [LINES]: the end of a log, on standard error.
show_log() {
    printf '  --- the end of %s:\n' "$1" >&2
    tail -n "${2:-20}" "$1" 2>/dev/null | sed 's/^/  | /' >&2 || true
}

STEP_PID=''
STEP_MUST_FINISH=''
INTERRUPTED=''
# on_interrupt: what a script that runs steps does about Ctrl-C and SIGTERM
# (trap on_interrupt INT TERM): the running step is stopped too, or waited for
# if STEP_MUST_FINISH says why.
on_interrupt() {
    INTERRUPTED=1
    if [ -n "$STEP_PID" ] && [ -n "$STEP_MUST_FINISH" ]; then
        printf '\n  stopping: %s\n' "$STEP_MUST_FINISH" >&2
        return 0
    fi
    if [ -n "$STEP_PID" ]; then
        kill -TERM -- "-$STEP_PID" 2>/dev/null || true
        printf '\n' >&2
    fi
    exit 130
}

# step LABEL LOG COMMAND...: runs COMMAND with its output in LOG. On a terminal
# the line shows the time and the log's last line while it runs. When it fails,
# the end of the log is shown and the script ends with 1.
step() {
    local label=$1 log=$2 start status=0 tick=0 last
    shift 2
    start=$(now_ms)
    mkdir -p "$(dirname "$log")"
    column "$label"
    # A session of its own: Ctrl-C reaches only this script, which decides.
    setsid "$@" >"$log" 2>&1 </dev/null &
    STEP_PID=$!
    while [ -t 1 ] && kill -0 "$STEP_PID" 2>/dev/null; do
        if ((tick++ % 5 == 0)); then
            last=$(tail -n 1 "$log" | tr -cd '[:print:]')
            printf '\r%s%s  %-36.36s' "$(column "$label")" "$(elapsed "$start")" "$last"
        fi
        sleep 0.1 || true
    done
    [ ! -t 1 ] || printf '\r\e[K%s' "$(column "$label")"
    # A trapped signal ends wait, not the step.
    while :; do
        status=0
        wait "$STEP_PID" || status=$?
        if ((status <= 128)) || ! kill -0 "$STEP_PID" 2>/dev/null; then break; fi
    done
    STEP_PID=
    if [ "$status" -ne 0 ]; then
        say "failed after $(elapsed "$start")"
        show_log "$log"
        die "$label: failed with status $status. The whole log: $log"
    fi
    elapsed "$start"
    echo
    [ -z "$INTERRUPTED" ] || exit 130
}

# have PROBE: see packages.def.
have() {
    local what=${1#*:}
    case $1 in
    redis) have_command redis-cli &&
        { have_command redis-server || have_command redis-check-rdb; } ;;
    cmd:*) have_command "$what" ;;
    lib:*) have_command pkg-config && pkg-config --exists "$what" ;;
    py:*) /usr/bin/python3 -c "import $what" >/dev/null 2>&1 ;;
    file:*) compgen -G "$what" >/dev/null ;;
    *) die "packages.def: unknown probe '$1'" ;;
    esac
}
have_command() { command -v "$1" >/dev/null 2>&1; }

# missing GROUP...: "package purpose" for each package of these groups that
# isn't there.
missing() {
    local group package probe purpose
    while read -r group package probe purpose; do
        [[ " $* " == *" $group "* ]] || continue
        have "$probe" || printf '%s %s\n' "$package" "$purpose"
    done < <(grep -v '^#' "$TOP/scripts/packages.def")
}

# port_taken PORT: whether something listens where 127.0.0.1:PORT would.
# Read from the kernel's tables: nothing is connected to, no tool is needed.
port_taken() {
    local hex any='(0100007F|00000000|0{32}|0{16}FFFF00000100007F)'
    printf -v hex '%04X' "$1"
    # Not by bash: its read goes back to the line's end each time, for which the
    # kernel starts over, and some thousand connections take it a minute.
    grep -Eqs "^ *[0-9]+: $any:$hex [0-9A-F]+:[0-9A-F]{4} 0A " /proc/net/tcp /proc/net/tcp6
}

# need_free_port PORT COMMAND: ends the script when it is taken; COMMAND is
# what the user typed.
need_free_port() {
    local next=$(($1 < 65535 ? $1 + 1 : 8000))
    port_taken "$1" || return 0
    say "Port $1 of 127.0.0.1 is taken by another program; nothing was started." >&2
    say "Stop that program, or use another port:  PORT=$next $2" >&2
    exit 1
}

# need_port_and_front: PORT and FRONT from the environment, with defaults; an
# invalid one ends the script with 2.
need_port_and_front() {
    PORT=${PORT:-8000} FRONT=${FRONT:-lighttpd}
    if ! [[ $PORT =~ ^[1-9][0-9]{0,4}$ ]] || ((PORT > 65535)); then
        say "PORT must be a number from 1 to 65535, not '$PORT'." >&2
        exit 2
    fi
    case $FRONT in
    lighttpd | nginx) ;;
    *)
        say "FRONT must be lighttpd or nginx, not '$FRONT'." >&2
        exit 2
        ;;
    esac
}

# announce URL HOW: the service is there; three commands to try it.
announce() {
    cat <<TEXT

larder serves $1 ($2). Try it:

  curl -X PUT $1/cache/greeting -H 'Content-Type: application/json' -d '{"value": "hello", "ttl": 60}'
  curl $1/cache/greeting
  curl $1/stats

TEXT
}
