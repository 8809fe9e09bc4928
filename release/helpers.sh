#!/bin/sh
# Builds the Docker credential helpers of release/helpers/go.mod for a Linux platform:
#   release/helpers.sh PLATFORM FOLDER
# Writes FOLDER/bin, and the licences of every module in the programs to FOLDER/licenses. Needs Go.
set -eu
platform=${1:?which platform, such as linux/arm64?} folder=${2:?into which folder?}
case $platform in
linux/arm/v7) export GOARCH=arm GOARM=7 ;;
linux/*/*) echo "no build for $platform" >&2 && exit 2 ;;
linux/*) export GOARCH="${platform#linux/}" ;;
*) echo "no build for $platform" >&2 && exit 2 ;;
esac
export GOOS=linux CGO_ENABLED=0

mkdir -p "$folder/bin" "$folder/licenses" && folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/helpers"
cp "$(go env GOROOT)/LICENSE" "$folder/licenses/go.LICENSE"
go build -trimpath -ldflags '-s -w' -o "$folder/bin/" tool
go list -deps -f '{{with .Module}}{{.Path}} {{.Dir}}{{end}}' tool | sort -u | while read -r module source; do
    [ -n "$module" ] || continue
    mkdir -p "$folder/licenses/$module"
    find "$source" -maxdepth 1 -type f \( -iname 'licen[cs]e*' -o -iname 'notice*' -o -iname 'copying*' \) \
        -exec cp {} "$folder/licenses/$module/" \;
    rmdir --ignore-fail-on-non-empty "$folder/licenses/$module"
done
