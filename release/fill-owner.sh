#!/bin/sh
# Replaces the word OWNER with the GitHub account that hosts this repository: release/fill-owner.sh OWNER FILE...
# Names of images are lower case. Changes the files in place, so give it copies, or the checkout of a release.
set -eu
owner=${1:?which account?}
shift
case $owner in
*[!A-Za-z0-9-]*) echo "\"$owner\" is not the name of a GitHub account" >&2 && exit 2 ;;
esac
lower=$(echo "$owner" | tr '[:upper:]' '[:lower:]')
for file in "$@"; do
    sed "s#ghcr\.io/OWNER\b#ghcr.io/$lower#g; s#\bOWNER\b#$owner#g" "$file" >"$file.filled"
    # Keeps the mode of the file.
    cat "$file.filled" >"$file"
    rm "$file.filled"
done
