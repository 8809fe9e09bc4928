#!/bin/sh
# Packs the program of each platform with licence, man pages and completions: release/pack.sh VERSION BUILT PACKAGES
# BUILT has a folder per platform, such as linux-arm64; man pages and completions come from `make man completions`.
# The archives are reproducible. SHA256SUMS lists every file in PACKAGES.
set -eu
version=${1:?which version?} built=${2:?the folder of what was built?} packages=${3:?into which folder?}
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$packages"
for folder in "$built"/*/; do
    name=manifest-tool-$version-$(basename "$folder")
    mkdir -p "$work/$name/man" "$work/$name/completions"
    cp "$folder"/* "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$work/$name/"
    cp "$target"/dist/man/*.1 "$work/$name/man/"
    cp "$target"/dist/completions/* "$work/$name/completions/"
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf "$work/$name.tar" "$name"
    gzip -n9 <"$work/$name.tar" >"$packages/$name.tar.gz"
done
cd "$packages"
rm -f SHA256SUMS
sha256sum -- * >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" .
