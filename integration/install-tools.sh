#!/bin/sh
# Installs those of the named Debian packages whose program is missing. Each is named as its program is, or as
# PROGRAM:PACKAGE.
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
# Package lists may be absent or old; one that is stale fails at the install.
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
