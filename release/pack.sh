#!/bin/sh
# Packs the program of each platform with licence, documentation, examples, man pages and completions:
#   release/pack.sh VERSION BUILT PACKAGES [OWNER]
# BUILT has a folder per platform, such as linux-arm64; man pages and completions come from `make man completions`.
# With OWNER, the texts in the packages name that account. Programs for Windows are also packed as .zip.
# The archives are reproducible. SHA256SUMS lists every file in PACKAGES.
set -eu
version=${1:?which version?} built=${2:?the folder of what was built?} packages=${3:?into which folder?} owner=${4-}
root=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$packages" "$work/docs/examples"
packages=$(cd "$packages" && pwd)
# Zip has no times before 1980, and times in zip files are local.
time=${SOURCE_DATE_EPOCH:-315532800}
export TZ=UTC
cp "$root/LICENSE" "$root/README.md" "$root/CHANGELOG.md" "$root/CONTRIBUTING.md" "$root/SECURITY.md" "$work/docs/"
cp -R "$root/docs/." "$work/docs/docs"
cp -R "$root/examples/pipelines/." "$work/docs/examples/pipelines"
cp "$root/examples/push_hello.rs" "$work/docs/examples/"
[ -z "$owner" ] || grep -rlIwZ OWNER "$work/docs" | xargs -0r "$root/release/fill-owner.sh" "$owner"
for folder in "$built"/*/; do
    name=manifest-tool-$version-$(basename "$folder")
    mkdir -p "$work/$name/man" "$work/$name/completions"
    cp "$folder"/* "$work/$name/"
    cp -R "$work/docs/." "$work/$name/"
    cp "$target"/dist/man/*.1 "$work/$name/man/"
    cp "$target"/dist/completions/* "$work/$name/completions/"
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --mtime="@$time" -cf "$work/$name.tar" "$name"
    gzip -n9 <"$work/$name.tar" >"$packages/$name.tar.gz"
    if [ -e "$folder/manifest-tool.exe" ]; then
        chmod -R u=rwX,go=rX "$work/$name"
        find "$work/$name" -exec touch -d "@$time" {} +
        rm -f "$packages/$name.zip"
        (cd "$work" && find "$name" -type f | LC_ALL=C sort | zip -q -9 -X -@ "$packages/$name.zip")
    fi
done
cd "$packages"
rm -f SHA256SUMS
sha256sum -- * >"$work/SHA256SUMS"
mv "$work/SHA256SUMS" .
