#!/bin/sh
# Debian packages that some tests use: installs those given where this user may, else says what to do.
#   scripts/debian_packages.sh libfaketime
set -eu
missing=""
for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q "install ok installed" || missing="$missing $name"
done
[ -z "$missing" ] && exit 0
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then as=""; elif sudo -n true 2>/dev/null; then as="sudo -n"; else as="none"; fi
    if [ "$as" != none ]; then
        # shellcheck disable=SC2086 # words are wanted
        if { $as apt-get install -y -q $missing || { $as apt-get update -q && $as apt-get install -y -q $missing; }; } >/dev/null 2>&1; then
            exit 0
        fi
    fi
fi
echo "please install:$missing (apt-get install$missing); what needs it is left out" >&2
exit 1
