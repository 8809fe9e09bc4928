#!/bin/sh
# Tests how a registry handles multi-platform images:
#   integration/test-registry.sh [FLAG...] HOST[:PORT]/REPOSITORY
# Copies the images in examples/ to the repository, pushes indexes of every kind, and deletes them again if it can.
# --keep keeps them; --one-repository uses only this repository; other flags are passed to manifest-tool (--plain-http,
# --insecure, --ca-cert, --username, --password-stdin, --output json, ...). Exit code 0 if the registry supports
# everything that manifest-tool requires; other checks may fail.
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

# Keep each flag and its value as separate words: values may contain spaces.
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
        [ "$count" -gt 0 ] || fail "$word needs a value"
        output=$1 count=$((count - 1))
        shift
        ;;
    -u | --username | -p | --password | --ca-cert | --docker-cfg | --concurrency | --retries | --timeout | --max-wait | --deadline)
        [ "$count" -gt 0 ] || fail "$word needs a value"
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
# Commands that only read send MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD only to MANIFEST_TOOL_REGISTRY.
export MANIFEST_TOOL_REGISTRY="${MANIFEST_TOOL_REGISTRY:-${repository%%/*}}"
if [ -n "$stdin" ]; then
    # Standard input can be read only once, but several commands need the password.
    MANIFEST_TOOL_PASSWORD=$(cat)
    export MANIFEST_TOOL_PASSWORD
fi

# All tags of this run contain a random identifier. Use existing images unchanged and never delete them; treat an image
# as existing if the registry does not say.
run=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
images='' copied='' leftover=''
clean() {
    trap '' INT TERM HUP
    [ -z "$keep" ] || return 0
    for image in $copied; do
        # Some registries cannot delete tagged manifests, others cannot delete tags.
        "$tool" "$@" delete --yes "$repository:${image##*/}" >/dev/null 2>&1 || true
        "$tool" "$@" delete --yes "$repository@${image%%/*}" >/dev/null 2>&1 ||
            case $("$tool" "$@" digest "$repository@${image%%/*}" 2>&1) in
            *"@${image%%/*} not found"*) ;;
            *) leftover="$leftover $repository:${image##*/}" ;;
            esac
    done
    for image in $leftover; do
        echo "leftover: $image" >&2
    done
}
trap 'clean "$@"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
for architecture in amd64 arm64; do
    image=oci:$examples/layouts/$architecture tag=test-registry-$run-$architecture
    digest=$("$tool" "$@" digest "$image")
    message=$("$tool" "$@" digest "$repository@$digest" 2>&1 >/dev/null) && {
        images="$images $repository@$digest"
        continue
    }
    is_new=
    case $message in
    *"@$digest not found"*) is_new=yes ;;
    esac
    code=0
    "$tool" "$@" copy --no-progress "$image" "$repository:$tag" >/dev/null || code=$?
    # An interrupted copy may have been written.
    if [ "$code" -eq 0 ] || [ "$code" -ge 124 ]; then
        if [ -n "$is_new" ]; then copied="$copied $digest/$tag"; else leftover="$leftover $repository:$tag"; fi
    fi
    [ "$code" -eq 0 ] || exit "$code"
    images="$images $repository:$tag"
done

code=0
"$tool" "$@" --output "$output" probe ${keep:+"$keep"} ${one:+"$one"} $images || code=$?
exit "$code"
