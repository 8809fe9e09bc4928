#!/usr/bin/env bash
# Runs manifest-tool with the action's inputs, which are in variables named INPUT_*, and sets the action's outputs. Runs
# with bash 3.2, so without "set -u", which fails on empty arrays there.
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
    exit 2
}

# Prints the items of a list without blank lines, comment lines, and blanks around items.
items() {
    printf '%s\n' "$1" | tr -d '\r' | LC_ALL=C sed -e 's/^[[:blank:]]*//' -e 's/[[:blank:]]*$//' -e '/^$/d' -e '/^#/d'
}

# Prints the items of a list that may also have commas between items.
lines() {
    items "$1" | tr ',' '\n'
}

# Appends FLAG=ITEM to the command line for each item of a list. The "=" keeps an item that starts with "-" from being a
# flag.
add() {
    local item
    while IFS= read -r item; do
        if [ -n "$item" ]; then
            words+=("$1=$item")
        fi
    done <<<"$(items "$2")"
}

# Appends the words of a command line. They are split as a shell does, with single and double quotes, but never expanded:
# "$", backquotes and "*" are literal. So is a backslash, which Windows paths contain, except before a line break, and
# before a double quote or another backslash inside double quotes.
split() {
    local LC_ALL=C text=$1 word='' is_word='' quote='' at c next
    for ((at = 0; at < ${#text}; at++)); do
        c=${text:at:1} next=${text:at+1:1}
        if [[ $quote = '"' && $c = \\ && ($next = '"' || $next = \\) ]]; then
            word+=$next
            at=$((at + 1))
        elif [[ -n $quote ]]; then
            if [[ $c = "$quote" ]]; then quote=''; else word+=$c; fi
        elif [[ $c = \' || $c = '"' ]]; then
            quote=$c is_word=1
        elif [[ $c = \\ && ($next = $'\n' || $next = $'\r') ]]; then
            continue
        elif [[ $c = ' ' || $c = $'\t' || $c = $'\n' || $c = $'\r' ]]; then
            if [[ -n $is_word ]]; then words+=("$word"); fi
            word='' is_word=''
        else
            word+=$c is_word=1
        fi
    done
    if [[ -n $quote ]]; then fail "the input \"command\" has a quote ($quote) that is not closed"; fi
    if [[ -n $is_word ]]; then words+=("$word"); fi
}

# Sets `at` to the position of the command, such as push, in the command line, and `command` to its name.
find_command() {
    local word name
    at=0 command=''
    while [ "$at" -lt "${#words[@]}" ]; do
        word=${words[at]} name=${words[at]#-}
        case $word in
        -*)
            case ${name#-} in
            # The global flags whose value is the next word.
            ca-cert | concurrency | deadline | docker-cfg | max-wait | o | output | p | password | retries | timeout | u | username)
                at=$((at + 1))
                ;;
            esac
            ;;
        *)
            command=$word
            return
            ;;
        esac
        at=$((at + 1))
    done
}

# Makes a command that writes images also write its JSON document to the file $document. If the command line has its own
# --metadata-file, sets `document` to that file instead.
write_document() {
    local next own=''
    for ((next = at + 1; next < ${#words[@]}; next++)); do
        case ${words[next]} in
        --metadata-file=* | -metadata-file=*) own=${words[next]#*=} ;;
        --metadata-file | -metadata-file) own=${words[next + 1]} ;;
        --) break ;;
        esac
    done
    if [ -n "$own" ]; then
        document=$own
    else
        words=("${words[@]:0:at+1}" --metadata-file "$document" "${words[@]:at+1}")
    fi
}

words=()
has_images='' others=''
for name in images digests metadata target tags platforms annotations type; do
    variable=INPUT_$(echo "$name" | tr '[:lower:]' '[:upper:]')
    if [ -n "$(items "${!variable}")" ]; then
        others=${others:+$others, }$name
        case $name in images | digests | metadata) has_images=1 ;; esac
    fi
done
images=''
if [ -n "$(items "$INPUT_COMMAND")" ]; then
    [ -z "$others" ] || fail "the input \"command\" cannot be combined with other inputs: $others"
    split "$INPUT_COMMAND"
elif [ -n "$has_images" ]; then
    words=(push)
    add --type "$INPUT_TYPE"
    words+=(from-images)
    add --target "$INPUT_TARGET"
    add --tags "$(lines "$INPUT_TAGS")"
    add --platform "$(lines "$INPUT_PLATFORMS")"
    add --annotation "$INPUT_ANNOTATIONS"
    add --metadata "$INPUT_METADATA"
    add --digests "$INPUT_DIGESTS"
    # The program reads the list of images from standard input, where an image cannot be taken for a flag or a file.
    if [ -n "$(items "$INPUT_IMAGES")" ]; then
        words+=(-)
        images=$INPUT_IMAGES
    fi
elif [ -n "$others" ]; then
    fail "an index needs one of the inputs images, digests and metadata; only these are given: $others"
else
    echo "Installed manifest-tool. No command or images are given, so there is nothing to run."
    exit 0
fi

# Remove the document of an earlier step.
document=$RUNNER_TEMP/manifest-tool/document.json
mkdir -p "$RUNNER_TEMP/manifest-tool"
rm -f "$document"
find_command
case $command in copy | push | remove | sync) write_document ;; esac

# Git Bash would rewrite arguments that look like Unix paths.
export MSYS_NO_PATHCONV=1 MSYS2_ARG_CONV_EXCL='*'
code=0
manifest-tool "${words[@]}" <<<"$images" || code=$?
unset MSYS_NO_PATHCONV MSYS2_ARG_CONV_EXCL

# The program writes the document only on success, and with code 4: a dry run would change something.
case $code in
0 | 4) ;;
*) exit "$code" ;;
esac
if [ -f "$document" ]; then
    {
        LC_ALL=C awk -v part=outputs -f "$GITHUB_ACTION_PATH/action/document.awk" <"$document"
        # Line breaks in JSON are only between values, so they can be removed, and the output needs no delimiter.
        printf 'result=%s\n' "$(LC_ALL=C sed 's/^ *//' "$document" | tr -d '\r\n')"
    } >>"$GITHUB_OUTPUT"
    if [ -n "$GITHUB_STEP_SUMMARY" ]; then
        LC_ALL=C awk -v part=summary -f "$GITHUB_ACTION_PATH/action/document.awk" <"$document" >>"$GITHUB_STEP_SUMMARY"
    fi
fi
exit "$code"
