#!/bin/sh
# What a registry does with images for several platforms, found out by trying:
#   integration/test-registry.sh [FLAG...] HOST[:PORT]/REPOSITORY
# Images of examples/ are copied there and put into indexes of every kind; what can be deleted is deleted again.
# --keep leaves it all; --one-repository uses no other repository; other flags are manifest-tool's (--plain-http,
# --insecure, --ca-cert, --username, --password-stdin, --output json, ...). Exit code 0 when the registry does all that
# manifest-tool needs, whatever else it does not.
set -euf
examples=$(CDPATH="" cd -P -- "$(dirname -- "$0")/../examples" && pwd)
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
repository='' keep='' one='' stdin='' output=text count=$#
while [ "$count" -gt 0 ]; do
    word=$1 count=$((count - 1))
    shift
    case $word in
    -h | --help) usage ;;
    --) ;;
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
# Commands that only read use MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD only for a registry that is named.
export MANIFEST_TOOL_REGISTRY="${MANIFEST_TOOL_REGISTRY:-${repository%%/*}}"
if [ -n "$stdin" ]; then
    # It is read once, and wanted several times.
    MANIFEST_TOOL_PASSWORD=$(cat)
    export MANIFEST_TOOL_PASSWORD
fi

# What is written bears names of this run alone. An image that is there already is used as it is, and is not ours to
# delete; nor is one of which the registry refuses to tell.
run=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
images='' ours='' left=''
clean() {
    trap '' INT TERM HUP
    [ -z "$keep" ] || return 0
    for image in $ours; do
        # Some delete no manifest that has a tag; others no tags.
        "$tool" "$@" delete --yes "$repository:${image##*/}" >/dev/null 2>&1 || true
        "$tool" "$@" delete --yes "$repository@${image%%/*}" >/dev/null 2>&1 ||
            case $("$tool" "$@" digest "$repository@${image%%/*}" 2>&1) in
            *"@${image%%/*} not found"*) ;;
            *) left="$left $repository:${image##*/}" ;;
            esac
    done
    for image in $left; do
        echo "left: $image" >&2
    done
}
trap 'clean "$@"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
for architecture in amd64 arm64; do
    image=oci:$examples/layouts/$architecture tag=test-registry-$run-$architecture
    digest=$("$tool" "$@" digest "$image")
    said=$("$tool" "$@" digest "$repository@$digest" 2>&1 >/dev/null) && {
        images="$images $repository@$digest"
        continue
    }
    is_ours=
    case $said in
    *"@$digest not found"*) is_ours=yes ;;
    esac
    code=0
    "$tool" "$@" copy --no-progress "$image" "$repository:$tag" >/dev/null || code=$?
    # What was interrupted may have been written all the same.
    if [ "$code" -eq 0 ] || [ "$code" -ge 124 ]; then
        if [ -n "$is_ours" ]; then ours="$ours $digest/$tag"; else left="$left $repository:$tag"; fi
    fi
    [ "$code" -eq 0 ] || exit "$code"
    images="$images $repository:$tag"
done

code=0
"$tool" "$@" --output "$output" probe ${keep:+"$keep"} ${one:+"$one"} $images || code=$?
exit "$code"
