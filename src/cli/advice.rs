//! Advice for the commands and flags of other programs, which users type from habit.

use super::similar::similar;
use crate::spec::Form;

/// Commands of other programs, with advice: the command to use instead, or how to do the same here.
const COMMANDS: &[(&str, &str)] = &[
    ("add", "use push --append from-images to add images to an index"),
    ("annotate", "set platforms and annotations of images in a spec, and use push from-spec"),
    ("append", "use push --append from-images to add images to an index"),
    ("assemble", "use push from-images to create an index of images"),
    ("auth", "use login to sign in, and logout to sign out"),
    ("build", "use push from-images to create an index of images"),
    ("catalog", "registries list their repositories in ways of their own; tags lists the tags of one"),
    ("check", "use verify to check images, or lint to check a spec"),
    ("clean", "use delete --tags PATTERN --keep N to delete old tags"),
    ("clone", "use sync to copy all tags of repositories"),
    ("config", "use inspect --config"),
    ("convert", "use copy --format docker or oci, --compress or --decompress"),
    ("create", "use push from-images to create an index of images"),
    ("download", "use copy IMAGE oci:FOLDER"),
    ("export", "use copy IMAGE oci-archive:FILE or docker-archive:FILE"),
    ("get", "use inspect to show an image, or copy IMAGE oci:FOLDER to download it"),
    ("imagetools", "use push from-images to create an index, and inspect to show one"),
    ("import", "use copy docker-archive:FILE IMAGE"),
    ("index", "use push from-images to create an index, remove to take images out of one, and inspect to show one"),
    ("info", "use inspect to show an image"),
    ("list", "use tags to list the tags of a repository"),
    ("list-tags", "use tags to list the tags of a repository"),
    ("load", "use copy IMAGE docker-daemon:REF"),
    ("manifest", "use push from-images to create an index, and inspect --manifest to print a manifest"),
    ("merge", "use push from-images to merge images into an index"),
    ("mirror", "use sync to copy all tags of repositories"),
    ("move", "use copy to write an image to another reference, and delete to delete the first"),
    ("mquery", "use query to show the platforms of images"),
    ("mv", "use copy to write an image to another reference, and delete to delete the first"),
    ("platforms", "use query to show the platforms of images"),
    ("prune", "use delete --tags PATTERN --keep N to delete old tags"),
    ("publish", "use push from-images to create an index of images"),
    ("pull", "use copy IMAGE oci:FOLDER"),
    ("retag", "use copy to give an image another tag"),
    ("rm", "use delete for a tag or manifest, or remove to take images out of an index"),
    ("save", "use copy IMAGE docker-archive:FILE"),
    ("show", "use inspect to show an image"),
    ("signin", "use login to sign in"),
    ("signout", "use logout to sign out"),
    ("tag", "use copy to give an image another tag"),
    ("untag", "use delete to delete a tag"),
    ("upload", "use copy to upload a layout or archive"),
    ("validate", "use verify, with --layers to read every layer"),
    ("version", "use --version"),
];

/// The commands with credentials for only the sources or only the targets.
const TWO_SIDED: &[&str] = &["copy", "push", "from-spec", "from-args", "from-images"];

/// What to use instead of a flag in these commands. An empty list is for all commands.
type Tip = (&'static [&'static str], &'static str);

const CREDENTIALS: &[Tip] = &[(&[], "use --username with --password-stdin")];
const SOURCE_CREDENTIALS: &[Tip] =
    &[(TWO_SIDED, "use --source-username with --source-password-stdin"), (&[], "use --username with --password-stdin")];
const TARGET_CREDENTIALS: &[Tip] =
    &[(TWO_SIDED, "use --target-username with --target-password-stdin"), (&[], "use --username with --password-stdin")];
const SOURCE_CONFIG: &[Tip] = &[
    (TWO_SIDED, "use --source-docker-cfg for the folder or file with credentials"),
    (&[], "use --docker-cfg for the folder or file with credentials"),
];
const TARGET_CONFIG: &[Tip] = &[
    (TWO_SIDED, "use --target-docker-cfg for the folder or file with credentials"),
    (&[], "use --docker-cfg for the folder or file with credentials"),
];
const COMPRESS: &[Tip] =
    &[(&["copy"], "use --compress gzip or zstd, with a level: zstd:9"), (&[], "use copy --compress gzip or zstd")];
const CONCURRENCY: &[Tip] = &[(&[], "use --concurrency to limit requests")];
const CONFIG: &[Tip] = &[(&[], "use --docker-cfg for the folder or file with credentials")];
const DEBUG: &[Tip] = &[(&[], "use --debug to log every request")];
const INSECURE: &[Tip] = &[(&[], "use --insecure to skip certificate checks, or --plain-http for HTTP without TLS")];
const INSECURE_HOST: &[Tip] =
    &[(&[], "use --insecure=HOST to skip certificate checks, or --plain-http=HOST for HTTP without TLS")];
const JSON: &[Tip] = &[(&[], "use --output json")];
const NO_COLOUR: &[Tip] = &[(&[], "set the variable NO_COLOR=1")];
const PLAIN_HTTP: &[Tip] = &[(&[], "use --plain-http for HTTP without TLS")];
const PLATFORM: &[Tip] = &[
    (&["verify", "from-args"], "use --platforms OS/ARCH"),
    (&["push", "from-spec"], "set the platform of an image in the spec"),
    (&[], "use --platform OS/ARCH"),
];
const RETRIES: &[Tip] = &[(&[], "use --retries")];
const TAG: &[Tip] = &[
    (
        &["push", "from-spec", "from-args", "from-images", "copy", "remove"],
        "use --tags for more tags, or push from-images --target for the index",
    ),
    (&[], "add the tag to the reference: HOST/REPOSITORY:TAG"),
];
const TAG_OR_TARGET: &[Tip] = &[
    (
        &["push", "from-spec", "from-args", "from-images", "copy", "remove"],
        "use --tags for more tags, or push from-images -t for the index",
    ),
    (&[], "add the tag to the reference: HOST/REPOSITORY:TAG"),
];

/// Flags of other programs, with what to use here.
const FLAGS: &[(&str, &[Tip])] = &[
    (
        "--all",
        &[
            (&["copy", "remove"], "copy copies whole indexes; --platform selects images"),
            (&["tags"], "tags lists every tag"),
            (&[], "an index always includes all its images"),
        ],
    ),
    ("--allow-http", PLAIN_HTTP),
    ("--allow-insecure", INSECURE),
    ("--amend", &[(&[], "use push --append")]),
    ("--annotation", &[(&[], "use --annotation with push from-images or from-args, or annotations in a spec")]),
    ("--arch", PLATFORM),
    ("--authfile", CONFIG),
    ("--color", NO_COLOUR),
    ("--config", CONFIG),
    ("--creds", CREDENTIALS),
    ("--dest", &[(&["sync"], "give the target as the second argument: HOST/PATH, oci:FOLDER or dir:FOLDER")]),
    ("--dest-authfile", TARGET_CONFIG),
    ("--dest-compress", COMPRESS),
    ("--dest-compress-format", COMPRESS),
    ("--dest-compress-level", COMPRESS),
    ("--dest-creds", TARGET_CREDENTIALS),
    ("--dest-decompress", &[(&["copy"], "use --decompress"), (&[], "use copy --decompress")]),
    ("--dest-password", TARGET_CREDENTIALS),
    ("--dest-tls-verify", INSECURE_HOST),
    ("--dest-username", TARGET_CREDENTIALS),
    ("--docker-config", CONFIG),
    ("--file", &[(&["lint"], "give the file as an argument: lint FILE"), (&[], "use push from-spec FILE")]),
    ("--force", &[(&["delete"], "use --yes to delete a manifest with all its tags"), (&[], "use push --force")]),
    ("--format", JSON),
    ("--http", PLAIN_HTTP),
    ("--image", &[(&[], "give the image as an argument")]),
    ("--images", &[(&[], "give the images as arguments, separated by blanks")]),
    ("--insecure-policy", INSECURE),
    ("--jobs", CONCURRENCY),
    ("--json", JSON),
    ("--log-level", DEBUG),
    ("--max-concurrent", CONCURRENCY),
    ("--max-retries", RETRIES),
    ("--multi-arch", &[(&[], "copy copies whole indexes; --platform selects images")]),
    ("--no-color", NO_COLOUR),
    ("--no-tls", PLAIN_HTTP),
    ("--no-verify-ssl", INSECURE),
    ("--os", PLATFORM),
    ("--parallel", CONCURRENCY),
    ("--parallelism", CONCURRENCY),
    ("--preserve-digests", &[(&[], "only copy --format, --compress and --decompress change digests")]),
    ("--progress", &[(&[], "use --no-progress or --quiet to hide the progress display")]),
    ("--purge", &[(&[], "manifest-tool stores nothing locally that needs purging")]),
    ("--registry-config", CONFIG),
    ("--retry", RETRIES),
    ("--retry-times", RETRIES),
    ("--silent", &[(&[], "use --quiet to print only errors")]),
    ("--skip-tls-verify", INSECURE),
    ("--source", &[(&["copy"], "give the source as an argument: copy SRC DST")]),
    ("--source-creds", SOURCE_CREDENTIALS),
    ("--source-password", SOURCE_CREDENTIALS),
    ("--src", &[(&["sync"], "give the file, repository or oci:FOLDER as the first argument")]),
    ("--src-authfile", SOURCE_CONFIG),
    ("--src-creds", SOURCE_CREDENTIALS),
    ("--src-password", SOURCE_CREDENTIALS),
    ("--src-tls-verify", INSECURE_HOST),
    ("--src-username", SOURCE_CREDENTIALS),
    ("--tag", TAG),
    (
        "--target",
        &[
            (&["copy"], "give the destination as an argument: copy SRC DST"),
            (&["from-spec"], "name the target in the spec, as image"),
        ],
    ),
    ("--target-creds", TARGET_CREDENTIALS),
    ("--target-password", TARGET_CREDENTIALS),
    ("--threads", CONCURRENCY),
    ("--tls-verify", INSECURE),
    ("--trace", DEBUG),
    ("--verbose", DEBUG),
    ("--workers", CONCURRENCY),
    ("-a", &[(&[], "use push --append from-images to add images to an index")]),
    ("-f", &[(&["lint"], "give the file as an argument: lint FILE"), (&[], "use push from-spec FILE")]),
    ("-j", CONCURRENCY),
    ("-k", INSECURE),
    ("-n", &[(&["push", "from-spec", "from-args", "from-images", "copy", "remove"], "use --dry-run")]),
    ("-s", &[(&[], "use --quiet to print only errors")]),
    ("-t", TAG_OR_TARGET),
    ("-v", DEBUG),
    ("-y", &[(&["delete"], "use --yes to delete a manifest with all its tags")]),
];

/// Other names for values of flags and arguments.
const VALUES: &[(&str, &str)] =
    &[("human", "text"), ("plain", "text"), ("pwsh", "powershell"), ("sh", "bash"), ("table", "text"), ("txt", "text")];

/// Returns the possible value that was probably meant by another one.
pub(super) fn of_value(text: &str, possible: &[String]) -> Option<String> {
    let other = VALUES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
    let other = other.filter(|value| possible.iter().any(|known| known == value));
    let similar = || similar(text, possible.iter().map(String::as_str)).into_iter().next();
    // The names of index types in other programs.
    let form = || text.parse::<Form>().err()?.suggestion().map(str::to_owned);
    let form = form().filter(|form| possible.contains(form));
    other.or_else(similar).map(str::to_owned).or(form)
}

/// Returns advice for a command of another program.
pub(super) fn of_command(word: &str) -> Option<&'static str> {
    let advice = |word: &str| COMMANDS.iter().find(|(known, _)| *known == word).map(|(_, advice)| *advice);
    advice(word)
}

/// Returns advice for a misspelled command of another program.
pub(super) fn of_similar_command(word: &str) -> Option<&'static str> {
    match similar(word, COMMANDS.iter().map(|(known, _)| *known))[..] {
        [only] if word.len() > 4 => of_command(only),
        _ => None,
    }
}

/// Returns advice for a flag of another program, typed after a command.
pub(super) fn of_flag(flag: &str, command: &str) -> Option<&'static str> {
    let (_, tips) = FLAGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(flag))?;
    let is_for = |(commands, _): &&Tip| commands.is_empty() || commands.contains(&command);
    tips.iter().find(is_for).map(|(_, tip)| *tip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::command;

    #[test]
    fn every_command_and_flag_in_advice_exists() {
        let mut known = crate::cli::arguments::known_words(&command());
        known.extend(["from-images", "from-spec", "from-args", "version"].map(str::to_owned));
        let of_flags = FLAGS.iter().flat_map(|(_, tips)| *tips).map(|(_, tip)| *tip);
        for advice in COMMANDS.iter().map(|(_, advice)| *advice).chain(of_flags) {
            let words = advice.split([' ', ',', ';', '=']);
            let flags = words.filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.is_empty());
            for flag in flags {
                assert!(known.contains(flag), "{advice}: {flag}");
            }
        }
        // Advice is only for words that are not commands themselves.
        assert!(COMMANDS.iter().all(|(word, _)| command().find_subcommand(word).is_none()));
    }

    #[test]
    fn every_flag_with_advice_is_unknown_to_a_command() {
        fn commands(command: &clap::Command) -> Vec<&clap::Command> {
            command.get_subcommands().flat_map(|sub| std::iter::once(sub).chain(commands(sub))).collect()
        }
        let (root, mut names) = (command(), vec!["push"]);
        names.extend(commands(&root).iter().map(|command| command.get_name()));
        for (flag, tips) in FLAGS {
            assert!(names.iter().any(|command| of_flag(flag, command).is_some()), "{flag}");
            for command in tips.iter().flat_map(|(commands, _)| *commands) {
                assert!(names.contains(command), "{flag}: {command}");
            }
        }
    }

    #[test]
    fn a_misspelled_command_of_another_program_gets_its_advice() {
        assert_eq!(of_similar_command("anotate"), of_command("annotate"));
        assert_eq!(of_similar_command("mainfest"), of_command("manifest"));
        assert_eq!(of_similar_command("xyz"), None);
    }
}
