#!/usr/bin/env bash
# Installs the version of manifest-tool that this action belongs to, unless it is on PATH already. Downloads the release,
# or builds the action's source if the repository has no release for this system. Runs with bash 3.2.
set -eo pipefail

fail() {
    echo "error: $1" >&2
    exit 1
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
# A local action, such as "uses: ./", has no repository with releases.
if [ -n "$ACTION_REPOSITORY" ] &&
    curl -fsSLO --retry 3 "$release/$archive" && curl -fsSLO --retry 3 "$release/SHA256SUMS"; then
    grep " $archive\$" SHA256SUMS >sums || fail "$release/SHA256SUMS does not list $archive"
    if command -v sha256sum >/dev/null; then
        sha256sum -c sums
    else
        shasum -a 256 -c sums
    fi || fail "$release/$archive does not match its checksum in SHA256SUMS"
    tar -xzf "$archive" --strip-components 1 -C bin
else
    echo "There is no release to download for $os/$arch, so manifest-tool is built from source."
    command -v cargo >/dev/null || fail "building manifest-tool from source needs cargo on PATH"
    cargo install --locked --path "$GITHUB_ACTION_PATH" --root .
fi
echo "$RUNNER_TEMP/manifest-tool/bin" >>"$GITHUB_PATH"
