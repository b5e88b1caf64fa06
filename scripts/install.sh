# shellcheck shell=bash
# install_packages GROUP...: installs what is missing of packages.def with apt,
# and sees to it that no system service is started or enabled by that. Without
# root it names what is missing, and the command. Sourced, after lib.sh.

POLICY=/usr/sbin/policy-rc.d
POLICY_SAVED=$POLICY.before-larder
POLICY_MARK="# by larder's quickstart, process"

present() { [ -e "$1" ] || [ -L "$1" ]; }

# policy_on: while this file says 101, Debian's packages start no service. Only
# for our own apt call. An existing one is kept aside.
policy_on() {
    if present "$POLICY"; then mv -f "$POLICY" "$POLICY_SAVED"; fi
    printf '#!/bin/sh\n%s %d\nexit 101\n' "$POLICY_MARK" "$$" >"$POLICY"
    chmod 755 "$POLICY"
}

# policy_off: puts back what was there. Does nothing to a file of others.
policy_off() {
    grep -qsF "$POLICY_MARK" "$POLICY" || return 0
    rm -f "$POLICY"
    if present "$POLICY_SAVED"; then mv -f "$POLICY_SAVED" "$POLICY"; fi
}

# policy_repair: a run that was killed outright left its file behind.
policy_repair() {
    local owner
    owner=$(sed -n "s/^$POLICY_MARK \([0-9]*\)$/\1/p" "$POLICY" 2>/dev/null || true)
    [ -z "$owner" ] || [ -d "/proc/$owner" ] || policy_off
}

installed_packages() {
    dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' | sed -n 's/^ii *//p' | sort
}

# disable_new_services BEFORE: what the packages that weren't in the list
# BEFORE would start at the next boot, they don't. Systemd's units first: the
# init scripts' tool disables them too, and says nothing.
disable_new_services() {
    local package path
    while read -r package; do
        while read -r path; do
            disable_unit "${path##*/}" "$package"
        done < <(dpkg -L "$package" | grep -E '^(/usr)?/lib/systemd/system/[^/@]+\.[a-z]+$')
        while read -r path; do
            update-rc.d "${path##*/}" disable >>"$RUN/apt.log" 2>&1 || true
        done < <(dpkg -L "$package" | grep -E '^/etc/init\.d/[^/]+$')
    done < <(comm -13 <(printf '%s\n' "$1") <(installed_packages))
}

# disable_unit UNIT PACKAGE: what "enabled" means is a link in a .wants folder.
disable_unit() {
    local links=(/etc/systemd/system -name "$1" -path '*.wants/*')
    [ -n "$(find "${links[@]}" 2>/dev/null)" ] || return 0
    if have_command systemctl; then
        systemctl disable --quiet "$1" >>"$RUN/apt.log" 2>&1 || true
    else
        # It insists on being called on behalf of a package.
        DPKG_MAINTSCRIPT_PACKAGE=$2 deb-systemd-helper disable "$1" >>"$RUN/apt.log" 2>&1 || true
    fi
    find "${links[@]}" -delete 2>/dev/null || true
    say "$(column "$2")its service $1 was not started, and is disabled"
}

APT=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    apt-get -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0)

# apt_install PACKAGE...: the part that changes the system. What must be put
# right after it is, however it ends.
apt_install() {
    local before
    before=$(installed_packages)
    # shellcheck disable=SC2064  # the list as it is here, whenever it is used
    trap "policy_off; disable_new_services '$before'" EXIT
    policy_on
    # dpkg, stopped half-way, leaves a system that must be repaired by hand.
    STEP_MUST_FINISH="apt is in the middle of installing, and finishes first" \
        step "apt: install" "$RUN/apt.log" "${APT[@]}" install --no-install-recommends "$@"
    trap - EXIT
    policy_off
    disable_new_services "$before"
}

# apt_get_all PACKAGE...: download, then the part that changes something.
apt_get_all() {
    step "apt: download" "$RUN/apt-download.log" \
        "${APT[@]}" install --no-install-recommends --download-only "$@"
    apt_install "$@"
}

# in_archive PACKAGE: whether apt could install it.
in_archive() {
    [ -n "$(apt-cache policy "$1" | sed -n 's/^  Candidate: *\([^(].*\)/\1/p')" ]
}

install_packages() {
    local wanted=() package purpose root=
    [ "$(id -u)" -ne 0 ] || root=1
    [ -z "$root" ] || policy_repair
    while read -r package purpose; do
        wanted+=("$package")
        [ "${#wanted[@]}" -ne 1 ] || say "  missing:"
        printf '    %-22s %s\n' "$package" "$purpose"
    done < <(missing "$@")
    if [ "${#wanted[@]}" -eq 0 ]; then
        say "$(column "packages")all there"
        return
    fi
    have_command apt-get ||
        die "this machine has no apt-get: install what is listed above by its own means"
    if [ -z "$root" ]; then
        say "Only root can install packages. Run this, then the same command again:" >&2
        say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${wanted[*]}" >&2
        exit 1
    fi

    step "apt: package lists" "$RUN/apt-update.log" "${APT[@]}" update
    apt_get_all "${wanted[@]}"

    wanted=()
    while read -r package purpose; do
        wanted+=("$package")
    done < <(missing "$@")
    [ "${#wanted[@]}" -eq 0 ] ||
        die "still missing, though apt reports success: ${wanted[*]} (log: $RUN/apt.log)"
}

# install_possible GROUP...: installs what can be installed of what is missing,
# and says why the rest can't be. For what a command can do without: never
# fails.
install_possible() {
    local wanted=() found=() package purpose
    while read -r package purpose; do
        wanted+=("$package")
    done < <(missing "$@")
    if [ "${#wanted[@]}" -eq 0 ]; then return; fi
    if ! have_command apt-get; then
        say "  not installed, and this machine has no apt-get: ${wanted[*]}"
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        say "  not installed, and only root can do it: ${wanted[*]}. For more, first run:"
        say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${wanted[*]}"
        return
    fi
    policy_repair
    # step ends its shell when a command fails.
    if ! (
        trap on_interrupt INT TERM
        step "apt: package lists" "$RUN/apt-update.log" "${APT[@]}" update
    ); then
        say "  no package lists: not installed stay ${wanted[*]}"
        return
    fi
    for package in "${wanted[@]}"; do
        if in_archive "$package"; then
            found+=("$package")
        else
            say "  not in the archive: $package"
        fi
    done
    if [ "${#found[@]}" -eq 0 ]; then return; fi
    if ! (
        trap on_interrupt INT TERM
        apt_get_all "${found[@]}"
    ); then
        say "  apt failed: what is missing of ${found[*]} is left out"
    fi
}
