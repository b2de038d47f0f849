#!/bin/sh
# Makes sure that there is a Chromium for the journeys in tests/system/test_browser.py; without one they are skipped and say so.
set -u
say() { echo "browser: $*" >&2; }
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing Debian's Chromium with fonts for Chinese"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-noto-cjk; } >/dev/null 2>&1 || say "apt-get failed; the journeys in a browser will be skipped"
else
    say "no Chromium found; the journeys in a browser will be skipped"
fi
exit 0
