#!/usr/bin/env bash
# docker.sh up|down: the service in containers, see docs/docker.md.
#
# up builds the images, starts the containers, waits until all are healthy and
# says how to try them; down stops and removes them, and keeps the entries.
# PORT=8000, FRONT=nginx or lighttpd; the rest of the settings are variables of
# docker/docker-compose.yml.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

READY_MS=60000 # for the last container; `up` itself waits for the others

# find_compose: COMPOSE, the command that is there: the plugin of today, or the
# program that Debian 12 has.
find_compose() {
    have_command docker ||
        die "Docker isn't installed: apt-get install docker.io docker-compose"
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif have_command docker-compose; then
        COMPOSE=(docker-compose)
    else
        die "neither \`docker compose\` nor docker-compose is there: apt-get install docker-compose"
    fi
    local why
    why=$(docker ps -q 2>&1) ||
        die "Docker's daemon can't be used: is it started, and are you in the group docker? $why"
    local file files=(docker-compose.yml)
    [ "$FRONT" = nginx ] || files+=("$FRONT.yml")
    # Compose reads this one by itself only while no file is named.
    [ ! -e "$TOP/docker/docker-compose.override.yml" ] || files+=(docker-compose.override.yml)
    for file in "${files[@]}"; do
        COMPOSE+=(-f "$TOP/docker/$file")
    done
}

# health: the state of each container, a line each.
health() {
    "${COMPOSE[@]}" ps -a -q | xargs docker inspect \
        -f '{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}'
}

await_healthy() {
    local start states
    start=$(now_ms)
    until states=$(health) && ! grep -qv ' healthy$' <<<"$states"; do
        if (($(now_ms) - start > READY_MS)); then
            say "$states" >&2
            "${COMPOSE[@]}" logs --tail 10 >&2
            die "not healthy after $((READY_MS / 1000)) s"
        fi
        sleep 0.2
    done
    say "$states"
}

up() {
    "${COMPOSE[@]}" up -d --build
    await_healthy
    # What Docker published, also if PORT and BIND come from docker/.env.
    announce "http://$("${COMPOSE[@]}" port front 8000)" "$FRONT, in containers"
    say "make docker-down stops it."
}

down() {
    "${COMPOSE[@]}" down
    local volumes
    volumes=$(docker volume ls -q --filter "label=com.docker.compose.project=$(project)" \
        --filter label=com.docker.compose.volume=data)
    [ -z "$volumes" ] || say "The entries are kept. This deletes them: docker volume rm $volumes"
}

# project: the name that compose gives to what it makes.
project() {
    local name=${COMPOSE_PROJECT_NAME:-}
    say "${name:-$(sed -n 's/^COMPOSE_PROJECT_NAME=//p' "$TOP/docker/.env")}"
}

FRONT=${FRONT:-nginx}
need_port_and_front
case ${1-} in
up | down) find_compose && "$1" ;;
*)
    say "usage: ${0##*/} up|down" >&2
    exit 2
    ;;
esac
