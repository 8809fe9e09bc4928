#!/usr/bin/env bash
# Installs the version of manifest-tool that this action belongs to, unless it is on PATH already. Downloads the release,
# or builds the action's source if the repository has no release for this system. Runs with bash 3.2.
set -eo pipefail

# Makes an error an annotation of the run, in GitHub Actions.
annotate() {
    local text=$1
    if [ "$GITHUB_ACTIONS" = true ]; then
        text=${text//'%'/%25} text=${text//$'\r'/%0D} text=${text//$'\n'/%0A}
        echo "::error title=manifest-tool::$text" >&2
    fi
}

fail() {
    echo "error: $1" >&2
    annotate "$1"
    exit 1
}

# Downloads a file of the release. Fails if the release does not have it. Every other failure ends the script.
download() {
    local status code=0
    status=$(curl -fsSLO --retry 3 --write-out '%{http_code}' "$release/$1" 2>curl.txt) || code=$?
    case $code:$status in
    0:*) ;;
    # curl exits with 37 for a file:// URL of a missing file.
    22:404 | 37:*) return 1 ;;
    *) fail "could not download $release/$1: $(cat curl.txt)" ;;
    esac
}

build() {
    echo "$1, so manifest-tool is built from source."
    command -v cargo >/dev/null || fail "building manifest-tool from source needs cargo on PATH"
    cargo install --locked --path "$GITHUB_ACTION_PATH" --root .
}

version=$(grep -m 1 '^version = ' "$GITHUB_ACTION_PATH/Cargo.toml" | cut -d '"' -f 2)
if [ "$(manifest-tool --version 2>/dev/null)" = "manifest-tool $version" ]; then
    exit 0
fi

case $RUNNER_OS in
macOS) os=darwin ;;
*) os=$(echo "$RUNNER_OS" | tr '[:upper:]' '[:lower:]') ;;
esac
case $RUNNER_ARCH in
X64) arch=amd64 ;;
ARM) arch=armv7 ;;
*) arch=$(echo "$RUNNER_ARCH" | tr '[:upper:]' '[:lower:]') ;;
esac
archive=manifest-tool-$version-$os-$arch.tar.gz
release=$GITHUB_SERVER_URL/$ACTION_REPOSITORY/releases/download/v$version

mkdir -p "$RUNNER_TEMP/manifest-tool/bin"
cd "$RUNNER_TEMP/manifest-tool"
if [ -z "$ACTION_REPOSITORY" ]; then
    # The workflow names it by a path: "uses: ./".
    build "A local action has no releases"
elif download "$archive"; then
    download SHA256SUMS || fail "$release has no SHA256SUMS"
    grep " $archive\$" SHA256SUMS >sums || fail "$release/SHA256SUMS does not list $archive"
    if command -v sha256sum >/dev/null; then
        sha256sum -c sums
    else
        shasum -a 256 -c sums
    fi || fail "$release/$archive does not match its checksum in SHA256SUMS"
    tar -xzf "$archive" --strip-components 1 -C bin
else
    build "Could not download $release/$archive (not found)"
fi
echo "$RUNNER_TEMP/manifest-tool/bin" >>"$GITHUB_PATH"
