#!/bin/sh
# Fills version, owner and checksums of a release into its recipes for Homebrew and the AUR:
#   release/recipes.sh VERSION SHA256SUMS OWNER FOLDER
# Writes FOLDER/manifest-tool.rb and FOLDER/PKGBUILD, for a maintainer to submit.
set -eu
version=${1:?which version?} sums=${2:?the SHA256SUMS of a release?}
owner=${3:?which account?} folder=${4:?into which folder?}
root=$(cd "$(dirname "$0")/.." && pwd)
case $version in
*-*) echo "$version is a pre-release, which package managers do not take" >&2 && exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$root/release/homebrew/manifest-tool.rb" "$root/release/aur/PKGBUILD" "$work/"
while read -r sum name; do
    case $name in
    manifest-tool-"$version"-*.tar.gz)
        platform=${name#manifest-tool-"$version"-}
        sed -i "s/SHA256-${platform%.tar.gz}\b/$sum/" "$work"/* ;;
    esac
done <"$sums"
sed -i "s/VERSION/$version/g" "$work"/*
"$root/release/fill-owner.sh" "$owner" "$work"/*
if grep -oh 'SHA256-[a-z0-9-]*' "$work"/* >&2; then
    echo "$sums has no checksum for these" >&2 && exit 1
fi
mkdir -p "$folder"
cp "$work"/* "$folder/"
