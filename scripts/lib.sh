# Sourced by the other scripts: messages, and installing Debian packages where that is possible.
# shellcheck shell=bash

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# on_path NAME [DIRECTORY…]: prints where the program is, looking in PATH and then in the directories.
on_path() {
    local name=$1 dir
    shift
    command -v "$name" 2>/dev/null && return 0
    for dir in "$@"; do
        if [ -x "$dir/$name" ]; then echo "$dir/$name"; return 0; fi
    done
    return 1
}

# install_debian PACKAGE…: apt-get, as root or through sudo; otherwise says what to install and stops.
install_debian() {
    local as=()
    command -v apt-get >/dev/null || fail "missing: please install $* (the names are Debian's packages)"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || fail "missing: please run  apt-get install $*"
        as=(sudo -n)
    fi
    say "installing $*"
    {
        "${as[@]}" apt-get update -q
        "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
    } </dev/null >&2 || fail "apt-get could not install $*; please install it by hand"
}

# need PROGRAM PACKAGE…: installs the packages when the program is missing.
need() {
    local program=$1
    shift
    command -v "$program" >/dev/null || install_debian "$@"
}

# A port of 127.0.0.1 that nobody listens on, below the range the kernel hands out to clients.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return 0; fi
    done
    fail "found no free port"
}
