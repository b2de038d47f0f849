#!/bin/sh
# Makes .venv with Python 3.11 and the locked libraries, on a machine where nothing else is prepared.
# Without an argument: what runs the product. `setup.sh tests`: what tests, lints and measures it, too.
set -eu
cd "$(dirname "$0")/.."
lock=requirements.lock
[ "${1:-}" != tests ] || lock=requirements-tests.lock
stamp=.venv/.installed-$lock
words=shared/translations/en/LC_MESSAGES/messages
compile() { [ "$words.mo" -nt "$words.po" ] || .venv/bin/pybabel -q compile -d shared/translations; }
fresh() { [ -f "$1" ] && [ "$1" -nt "$2" ] && [ "$1" -nt pyproject.toml ]; }
if fresh "$stamp" "$lock" || fresh .venv/.installed-requirements-tests.lock requirements-tests.lock; then compile; exit 0; fi

say() { echo "setup: $*" >&2; }
is_311() { [ -n "$1" ] && "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

# Why 3.11 and no later one: nameko and eventlet (docs/libraries.md).
python=
for one in python3.11 python3 python; do
    found=$(command -v "$one" || true)
    if is_311 "$found"; then python=$found; break; fi
done

with_uv() {
    say "there is no Python 3.11 here; uv makes the environment and brings one of its own, where it may load it"
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        python3 -m venv var/uv && var/uv/bin/pip install -q --disable-pip-version-check uv==0.13.9 || {
            say "uv cannot be installed; install Python 3.11 (Debian 12: apt-get install python3.11) or uv (https://docs.astral.sh/uv)"; exit 1; }
        uv=var/uv/bin/uv
    fi
    "$uv" venv -q --clear --seed --python 3.11 .venv || {
        say "uv found no Python 3.11 and could load none; install one (Debian 12: apt-get install python3.11) and try again"; exit 1; }
}

if ! is_311 .venv/bin/python || ! [ -x .venv/bin/pip ]; then
    say "making .venv"
    if [ -z "$python" ]; then
        with_uv
    else
        if ! "$python" -c 'import ensurepip' 2>/dev/null; then
            if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
                say "installing python3-venv"
                { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv; } >/dev/null
            else
                say "the venv module is missing; as root: apt-get install python3-venv"; exit 1
            fi
        fi
        "$python" -m venv .venv
    fi
fi
say "installing the libraries of $lock"
.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
compile
touch "$stamp"
say "done"
