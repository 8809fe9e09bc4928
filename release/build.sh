#!/bin/sh
# Builds manifest-tool for a Linux platform, on any Linux platform: release/build.sh PLATFORM FOLDER [--static]
# As root on Debian or Ubuntu, installs the cross compiler if it is missing. --static links statically, for images.
# Without it the program links to glibc, so that host names resolve as /etc/nsswitch.conf says.
set -eu
platform=${1:?which platform, such as linux/arm64?} folder=${2:?into which folder?} how=${3-}

case $platform in
linux/amd64) triple=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu debian=amd64 ;;
linux/arm64) triple=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu debian=arm64 ;;
linux/arm/v7) triple=armv7-unknown-linux-gnueabihf gnu=arm-linux-gnueabihf debian=armhf ;;
linux/ppc64le) triple=powerpc64le-unknown-linux-gnu gnu=powerpc64le-linux-gnu debian=ppc64el ;;
linux/riscv64) triple=riscv64gc-unknown-linux-gnu gnu=riscv64-linux-gnu debian=riscv64 ;;
linux/s390x) triple=s390x-unknown-linux-gnu gnu=s390x-linux-gnu debian=s390x ;;
*) echo "no build for $platform" >&2 && exit 2 ;;
esac

case $how in '' | --static) ;; *) echo "\"$how\" is not --static" >&2 && exit 2 ;; esac

mkdir -p "$folder" && folder=$(cd "$folder" && pwd)
cd "$(dirname "$0")/.."
if [ "$(dpkg --print-architecture)" = "$debian" ]; then
    integration/install-tools.sh "$gnu-gcc:gcc"
else
    integration/install-tools.sh "$gnu-gcc:gcc-$(echo "$gnu" | tr _ -) libc6-dev-$debian-cross"
    # The compiler cannot link without the C library of the target.
    [ -e "/usr/$gnu/lib/libc.a" ] || { echo "missing: libc6-dev-$debian-cross" >&2 && exit 1; }
fi
if command -v rustup >/dev/null; then rustup target add "$triple"; fi

upper=$(echo "$triple" | tr a-z- A-Z_)
export "CC_$(echo "$triple" | tr - _)=$gnu-gcc" "CARGO_TARGET_${upper}_LINKER=$gnu-gcc"
target=${CARGO_TARGET_DIR:-target}/cross
# These variables would override the target's flags below.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
if [ "$how" = --static ]; then
    export "CARGO_TARGET_${upper}_RUSTFLAGS=-C target-feature=+crt-static"
    target=$target-static
fi
cargo build --profile dist --locked --target "$triple" --target-dir "$target"
cp "$target/$triple/dist/manifest-tool" "$folder/"
