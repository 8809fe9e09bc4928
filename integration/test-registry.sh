#!/bin/sh
# What a registry does with images for several platforms, found out by trying:
#   integration/test-registry.sh [FLAG...] HOST[:PORT]/REPOSITORY
# Images of examples/ are copied there and put into indexes of every kind; what can be deleted is deleted again.
# --keep leaves it all; --one-repository uses no other repository; other flags are manifest-tool's (--plain-http,
# --insecure, --ca-cert, --username, --password-stdin, --output json, ...). Exit code 0 when the registry does all that
# manifest-tool needs, whatever else it does not.
set -eu
examples=$(cd -P "$(dirname "$0")/../examples" && pwd)
target=${CARGO_TARGET_DIR:-$examples/../target}

usage() {
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

fail() {
    echo "error: $*" >&2
    exit 1
}

tool=$(command -v manifest-tool || true)
[ -n "$tool" ] || tool=$target/release/manifest-tool
[ -x "$tool" ] || fail "no manifest-tool on PATH or in $target/release: run 'make build'"

# The flags are kept as words of their own: what is behind them may have spaces in it.
repository= keep= one= stdin= output=text count=$#
while [ "$count" -gt 0 ]; do
    word=$1 count=$((count - 1))
    shift
    case $word in
    -h | --help) usage ;;
    --keep) keep=--keep ;;
    --one-repository) one=--one-repository ;;
    --password-stdin) stdin=yes ;;
    --output=*) output=${word#*=} ;;
    --output)
        [ "$count" -gt 0 ] || fail "$word wants a value"
        output=$1 count=$((count - 1))
        shift
        ;;
    -u | --username | -p | --password | --ca-cert | --docker-cfg | --concurrency | --retries | --timeout | --max-wait | --deadline)
        [ "$count" -gt 0 ] || fail "$word wants a value"
        set -- "$@" "$word" "$1"
        shift
        count=$((count - 1))
        ;;
    -*) set -- "$@" "$word" ;;
    *)
        [ -z "$repository" ] || usage
        repository=$word
        ;;
    esac
done
[ -n "$repository" ] || usage
if [ -n "$stdin" ]; then
    # It is read once, and wanted several times.
    MANIFEST_TOOL_PASSWORD=$(cat)
    export MANIFEST_TOOL_PASSWORD
fi

# What was there before is not ours to delete.
ours=
for architecture in amd64 arm64; do
    image=oci:$examples/layouts/$architecture
    digest=$("$tool" "$@" digest "$image")
    "$tool" "$@" --quiet digest "$repository@$digest" >/dev/null 2>&1 || ours="$ours $repository@$digest"
    "$tool" "$@" copy --no-progress "$image" "$repository:test-registry-$architecture" >/dev/null
done

code=0
"$tool" "$@" --output "$output" probe ${keep:+"$keep"} ${one:+"$one"} \
    "$repository:test-registry-amd64" "$repository:test-registry-arm64" || code=$?

if [ -z "$keep" ]; then
    for image in $ours; do
        "$tool" "$@" --quiet delete --yes "$image" >/dev/null 2>&1 || echo "left: $image" >&2
    done
fi
exit "$code"
