#!/bin/sh
# Makes .venv with Python 3.11 and the locked libraries, on a machine where nothing else is prepared.
set -eu
cd "$(dirname "$0")/.."
stamp=.venv/.installed
if [ -f "$stamp" ] && [ "$stamp" -nt requirements.lock ] && [ "$stamp" -nt pyproject.toml ]; then exit 0; fi

say() { echo "setup: $*" >&2; }
python=$(command -v python3.11 || command -v python3 || true)
[ -n "$python" ] || { say "Python 3.11 is missing (Debian: apt-get install python3.11)"; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { say "Python 3.11 is needed, $("$python" --version) was found"; exit 1; }

if ! [ -x .venv/bin/pip ]; then
    say "making .venv"
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
say "installing the locked libraries"
.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
touch "$stamp"
say "done"
