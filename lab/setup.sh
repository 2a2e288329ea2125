#!/bin/sh
# Everything that a fresh Debian machine lacks to run the demo: programs, a real Asterisk, and the prompts at every
# speed; with the word `tests`, what the tests need beside it. Made once and reused; says what it does.
set -eu
cd "$(dirname "$0")/.."

TESTED_ASTERISK=22.10.1

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() { printf '\033[1;31mset-up stopped:\033[0m %s\n' "$*" >&2; exit 1; }

# Run a command with its output in a log; show that time passes; on failure show the log's end and a sentence.
quietly() {
    what=$1; sentence=$2; shift 2
    log="$CACHE/setup.log"
    say "$what"
    "$@" > "$log" 2>&1 &
    pid=$!; seconds=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1; seconds=$((seconds + 1))
        if [ -t 1 ]; then printf '\r    %3d s' "$seconds"; elif [ $((seconds % 10)) -eq 0 ]; then printf '    %d s\n' "$seconds"; fi
    done
    if [ -t 1 ]; then printf '\r            \r'; fi
    wait "$pid" || { tail -n 15 "$log" >&2; fail "$sentence (the whole log: $log)"; }
}

[ -n "${XDG_CACHE_HOME:-${HOME:-}}" ] || fail "HOME is not set; set it to your home directory"
CACHE="${XDG_CACHE_HOME:-${HOME:-}/.cache}/elder-router"
ROOTFS="$CACHE/asterisk"
REDISES="$CACHE/redis-versions"
mkdir -p "$CACHE" 2>/dev/null && [ -w "$CACHE" ] ||
    fail "$CACHE cannot be made or written to; set XDG_CACHE_HOME to a directory of yours"
[ "$(id -u)" -eq 0 ] || command -v asterisk >/dev/null 2>&1 ||
    fail "this machine has no Asterisk, and one of our own runs as root only: run this as root, or install asterisk"

# Programs. Only what is missing is installed.
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need redis-server redis-server
need sipp sip-tester
need espeak-ng espeak-ng
need sox sox
need openssl openssl
# The tests look at pages in a browser, the Chinese ones too.
if [ "${1:-}" = tests ]; then
    need chromium chromium
    [ -e /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc ] || missing="$missing fonts-noto-cjk"
fi
need mount mount
need unshare util-linux
python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
if ! command -v asterisk >/dev/null 2>&1 && [ ! -x "$ROOTFS/usr/sbin/asterisk" ] ||
    [ ! -d "$REDISES/trixie" ] || [ ! -d "$REDISES/sid" ]; then need mmdebstrap mmdebstrap; fi
if [ -n "$missing" ]; then
    [ "$(id -u)" -eq 0 ] || fail "programs are missing: run \`sudo apt-get install$missing\`, and this again"
    command -v apt-get >/dev/null 2>&1 || fail "apt-get is not here; install these yourself and run it again:$missing"
    # Installing a server starts it on Debian; the demo and the tests use servers of their own.
    printf '#!/bin/sh\nexit 101\n' > "$CACHE/policy-rc.d"; chmod +x "$CACHE/policy-rc.d"
    placed=""
    if [ ! -e /usr/sbin/policy-rc.d ]; then cp "$CACHE/policy-rc.d" /usr/sbin/policy-rc.d; placed=yes; fi
    trap '[ -z "$placed" ] || rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
    quietly "fetching Debian's package lists" "the package lists could not be fetched; is there a network?" \
        apt-get update
    # shellcheck disable=SC2086
    quietly "installing$missing" "Debian's packages could not be installed" \
        env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
    [ -z "$placed" ] || rm -f /usr/sbin/policy-rc.d
    trap - EXIT INT TERM
fi

# Asterisk: the system's own, or one in a root file system of its own, as Debian 12 has none.
if command -v asterisk >/dev/null 2>&1; then
    root=""
elif [ -x "$ROOTFS/usr/sbin/asterisk" ]; then
    root="$ROOTFS"
else
    rm -rf "$ROOTFS.part"
    quietly "making a root file system with Asterisk under $CACHE (once; about 30 s and 400 MB)" \
        "the root file system with Asterisk could not be made" \
        mmdebstrap --variant=apt --aptopt='Acquire::Check-Valid-Until "false"' \
            --include=asterisk,asterisk-core-sounds-en-wav,asterisk-moh-opsound-wav sid "$ROOTFS.part"
    mv "$ROOTFS.part" "$ROOTFS"
    root="$ROOTFS"
fi
version=$(${root:+chroot "$root"} asterisk -V | sed 's/^Asterisk \([0-9.]*\).*/\1/')
case "$version" in
    "$TESTED_ASTERISK") ;;
    *) say "note: this is Asterisk $version; the figures in docs/ were measured with $TESTED_ASTERISK" ;;
esac

# Sounds: Asterisk's own and its music, copied to where the router's prompts are added.
SOUNDS="$CACHE/sounds"
if [ ! -d "$SOUNDS/en/digits" ]; then
    core=$(cd "$root/usr/share/asterisk/sounds" 2>/dev/null && find . -maxdepth 1 -name 'en_US_*' -type d | head -n 1)
    [ -n "$core" ] || fail "no core sounds with this Asterisk; install asterisk-core-sounds-en-wav"
    say "copying Asterisk's core sounds to $SOUNDS"
    mkdir -p "$SOUNDS"; rm -rf "$SOUNDS/en.part"
    cp -rL "$root/usr/share/asterisk/sounds/$core" "$SOUNDS/en.part" && mv "$SOUNDS/en.part" "$SOUNDS/en"
fi
if [ ! -d "$SOUNDS/moh" ]; then
    mkdir -p "$SOUNDS/moh"
    cp "$root"/usr/share/asterisk/moh/*.wav "$SOUNDS/moh/" 2>/dev/null || true
fi

# Other Redis and Valkey than this machine's, which the tests run beside it: unpacked and not installed, see
# lab/redis_versions.py. A Redis 6.2 comes with the Python packages.
unpacked() {
    suite=$1; shift
    [ ! -d "$REDISES/$suite" ] || return 0
    rm -rf "$REDISES/$suite.part"; mkdir -p "$REDISES"
    # shellcheck disable=SC2086
    quietly "fetching $* of Debian $suite to $REDISES (once; about 10 s and 80 MB)" \
        "$* of Debian $suite could not be fetched; is there a network?" \
        mmdebstrap --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
            --include="$(echo "$*" | tr ' ' ,)" "$suite" "$REDISES/$suite.part"
    mv "$REDISES/$suite.part" "$REDISES/$suite"
}
unpacked trixie valkey-server
unpacked sid redis-server valkey-server

# Prometheus' promtool, with which the tests check the alert rules and the dashboard: unpacked and not installed, or a
# Prometheus would be started here. See lab/promtool.py.
PROMETHEUS="$CACHE/prometheus"
fetch_prometheus() {
    cd "$PROMETHEUS.part"
    apt-get download prometheus || { apt-get update && apt-get download prometheus; }
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
    mv usr/bin/promtool promtool
    rm -rf usr prometheus_*.deb
}
if [ "${1:-}" = tests ] && ! command -v promtool >/dev/null 2>&1 && [ ! -x "$PROMETHEUS/promtool" ]; then
    rm -rf "$PROMETHEUS" "$PROMETHEUS.part"; mkdir "$PROMETHEUS.part"
    quietly "fetching promtool to $PROMETHEUS (once; about 5 s and 48 MB)" \
        "Debian's package prometheus could not be fetched; install promtool yourself, or is there no network?" \
        fetch_prometheus
    mv "$PROMETHEUS.part" "$PROMETHEUS"
fi
