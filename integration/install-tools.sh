#!/bin/sh
# Installs a Debian package for each named program that is missing. Arguments are PROGRAM, if the package has the same
# name, or PROGRAM:PACKAGE.
set -eu
missing=
for tool in "$@"; do
    command -v "${tool%%:*}" >/dev/null 2>&1 || missing="$missing ${tool#*:}"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "missing:$missing. Install them, or run this as root on Debian or Ubuntu." >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
# Update only if package lists are missing; stale lists make the install fail.
# shellcheck disable=SC2086 # intentionally split into words
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
