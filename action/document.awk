# Reads the JSON document of a push, copy or remove, and prints the action's outputs (part=outputs) or the step summary
# (part=summary). The document has one key per line, so the indentation gives the depth of a key, and a line break in a
# string is escaped. Prints neither for a dry run.

# Returns the string value of a line, still escaped as in JSON. Returns "" for other values.
function value(line) {
    if (line !~ /^ *"[A-Za-z.]+": ".*",?$/) return ""
    sub(/^ *"[A-Za-z.]+": "/, "", line)
    sub(/",?$/, "", line)
    return line
}

# Returns text from a registry as a Markdown code span in a table cell. Other characters than those of references and
# platforms are replaced, because they may be Markdown or HTML.
function cell(text) {
    gsub(/[^A-Za-z0-9._:\/@+-]+/, "?", text)
    return "`" substr(text, 1, 300) "`"
}

# Returns the repository of a reference, or "" if it is not in a registry.
function repository(reference) {
    if (reference ~ /^oci(-archive)?:/ || reference !~ /^[A-Za-z0-9._:\/@-]+$/) return ""
    sub(/@.*$/, "", reference)
    sub(/:[^\/]*$/, "", reference)
    return reference
}

function add_reference(reference) {
    references[digest] = references[digest] "| " cell(reference) " | " cell(digest) " |\n"
}

# Adds a platform of the index. Several targets have the same index, whose platforms are added once.
function add_platform() {
    name = system_name "/" architecture (variant == "" ? "" : "/" variant) (version == "" ? "" : ":" version)
    if (is_repeated || is_attestation) return
    if (++rows > 200) {
        omitted[digest]++
        return
    }
    platforms[digest] = platforms[digest] "| " (name == "/" ? "none" : cell(name)) " | " cell(entry) " |\n"
}

/^  "dryRun": true/ { is_dry_run = 1 }
/^  "(indexes|copies)": / { list = $1 }

# An index or copy.
/^    \{/ { digest = reference = section = ""; tags = 0 }
/^      "/ { section = $1 }
/^      "reference": / { reference = value($0) }
/^      "digest": / {
    digest = value($0)
    is_repeated = (digest in references)
    if (!is_repeated) {
        order[++count] = digest
        references[digest] = ""
    }
    if (first == "") first = reference
}

# Its tags and entries.
/^        \{/ { object = entry = system_name = architecture = variant = version = ""; is_attestation = 0 }
/^          "/ { object = $1 }
section == "\"tags\":" && /^          "reference": / { add_reference(value($0)); tags++ }
section == "\"entries\":" && /^          "digest": / { entry = value($0) }
section == "\"entries\":" && /^          "attests": / { is_attestation = 1 }
section == "\"entries\":" && object == "\"platform\":" {
    if (/^            "os": /) system_name = value($0)
    if (/^            "architecture": /) architecture = value($0)
    if (/^            "variant": /) variant = value($0)
    if (/^            "os.version": /) version = value($0)
}
section == "\"entries\":" && /^        \}/ { add_platform() }
/^    \}/ { if (tags == 0) add_reference(reference) }

END {
    if (is_dry_run || count == 0) exit
    if (part == "outputs") {
        if (count == 1 && order[1] ~ /^sha(256|512):[0-9a-f]+$/) {
            print "digest=" order[1]
            if (repository(first) != "") print "reference=" repository(first) "@" order[1]
        }
    } else if (list == "\"indexes\":") {
        print "### Image " (count == 1 ? "index" : "indexes")
        for (at = 1; at <= count && at <= 50; at++) {
            print "\n| Reference | Digest |\n| --- | --- |"
            printf "%s", references[order[at]]
            print "\n| Platform | Digest |\n| --- | --- |"
            printf "%s", platforms[order[at]]
            if (omitted[order[at]]) print "\n" omitted[order[at]] " more images are not shown."
        }
        if (count > 50) print "\n" count - 50 " more indexes are not shown."
    }
}
