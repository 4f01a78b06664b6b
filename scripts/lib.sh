# Sourced by the other scripts, in the project's root: an environment of our own, made once and kept right.

set -eu
cd "$(dirname "$0")/.."
VENV=.venv

say() { printf '%s\n' "$*" >&2; }

# Run a command; show what it said only when it fails.
quietly() {
    log=$(mktemp)
    status=0
    "$@" >"$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then
        say "failed: $*"
        cat "$log" >&2
    fi
    rm -f "$log"
    return "$status"
}

# The first Python of at least 3.11: $PYTHON, or what the PATH has.
find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    say "Calais needs Python 3.11 or newer; none was found. Set PYTHON to its path."
    return 1
}

# Root, or sudo that asks nothing; the command is run, or status 1 says that it may not be.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo -n "$@"
    else return 1
    fi
}

may_apt() { command -v apt-get >/dev/null 2>&1 && as_root true 2>/dev/null; }

apt_install() {
    quietly as_root apt-get update -qq || say "the package lists could not be renewed; going on with those here"
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# Some systems ship Python without the part that makes environments.
make_venv() {
    python=$(find_python)
    rm -rf "$VENV"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then quietly "$python" -m venv "$VENV"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then quietly "$python" -m virtualenv "$VENV"
    elif may_apt && apt_install python3-venv; then quietly "$python" -m venv "$VENV"
    else
        say "$python cannot make environments: install the package python3-venv (or virtualenv) and run this again"
        return 1
    fi
}

# An environment that works, and was made in this directory: it cannot be moved.
has_venv() {
    [ -f "$VENV/bin/pip" ] && head -n 1 "$VENV/bin/pip" | grep -qF "$PWD/$VENV/" &&
        "$VENV/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# prepare NAME REQUIREMENT...: .venv holds these; nothing is done when it already does.
prepare() {
    name=$1
    shift
    has_venv || { say "making $VENV"; make_venv; }
    stamp="$VENV/.calais-$name"
    want="$(cksum <pyproject.toml) $PWD $*"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then return 0; fi
    say "installing into $VENV ($name)"
    quietly "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@"
    printf '%s\n' "$want" >"$stamp"
}

# Everything for the test suite. yubikit alone is used of yubikey-manager, and it needs none of its dependencies.
prepare_development() {
    prepare dev -e '.[dev]'
    prepare yubikit --no-deps 'yubikey-manager>=5.5,<6'
}

missing_debian_packages() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' scripts/debian-packages.txt | while read -r package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || printf '%s ' "$package"
    done
}

# The foreign programs, where we may install them; else say what will be missed.
prepare_foreign() {
    if ! command -v dpkg-query >/dev/null 2>&1; then
        say "no Debian packages here: tests against foreign programs run where the programs are found"
        return 0
    fi
    missing=$(missing_debian_packages)
    [ -n "$missing" ] || return 0
    if may_apt; then
        say "installing Debian packages: $missing"
        # shellcheck disable=SC2086  # a list of words
        apt_install $missing || say "could not install all of: $missing"
    else
        say "not installed, and no right to install: $missing"
        say "tests that need them are skipped; as root: apt install $missing"
    fi
}
