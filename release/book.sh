#!/bin/sh
# Builds the documentation as a book with mdBook: release/book.sh FOLDER [OWNER]
# Links to files outside of docs/ become links to the repository on GitHub. With OWNER, the pages name that account.
set -eu
book=${1:?into which folder?} owner=${2-OWNER}
mkdir -p "$book" && book=$(cd "$book" && pwd)
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R docs/. "$work"
files=https://github.com/OWNER/manifest-tool/blob/main
for depth in 1 2 3; do
    up=$(printf '%*s' "$depth" '' | sed 's# #\\.\\./#g')
    find "$work" -mindepth "$depth" -maxdepth "$depth" -name '*.md' -exec sed -i "s#](${up}#](${files}/#g" {} +
done
if [ "$owner" != OWNER ]; then
    grep -rlIwZ OWNER "$work" | xargs -0r release/fill-owner.sh "$owner"
fi
mdbook build --dest-dir "$book" "$work"
