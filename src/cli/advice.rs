//! Advice for the commands and flags of other programs, which users type from habit.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Commands of other programs, with what to use here.
const COMMANDS: &[(&str, &str)] = &[
    ("annotate", "set platforms and annotations of images in a spec, and use push from-spec"),
    ("append", "use push --append from-images to add images to an index"),
    ("auth", "use login and logout"),
    ("catalog", "registries list their repositories in ways of their own; tags lists the tags of one"),
    ("config", "use inspect --config"),
    ("create", "use push from-images to create an index of images"),
    ("export", "use copy IMAGE oci-archive:FILE"),
    ("imagetools", "use push from-images to create an index, and inspect to show one"),
    ("index", "use push from-images to create an index, remove to take images out of one, and inspect to show one"),
    ("list", "use tags to list the tags of a repository"),
    ("manifest", "use push from-images to create an index, and inspect --manifest to print a manifest"),
    ("merge", "use push from-images to merge images into an index"),
    ("pull", "use copy IMAGE oci:FOLDER"),
    ("rm", "use delete for a tag or manifest, or remove to take images out of an index"),
    ("sync", "use copy --tags '*' REPOSITORY REPOSITORY"),
    ("tag", "use copy to give an image another tag"),
    ("version", "use --version"),
    ("validate", "use verify, with --layers to read every layer"),
];

/// Flags of other programs, with what to use here.
const FLAGS: &[(&str, &str)] = &[
    ("--all", "copy copies whole indexes; --platform selects images"),
    ("--amend", "use push --append"),
    ("--annotation", "use --annotation with push from-images or from-args, or annotations in a spec"),
    ("--arch", "use --platform OS/ARCH"),
    ("--authfile", "use --docker-cfg FILE"),
    ("--creds", "use --username with --password-stdin"),
    ("--dest-tls-verify", "use --insecure=HOST to skip certificate checks, or --plain-http=HOST for HTTP without TLS"),
    ("--format", "use --output json"),
    ("--json", "use --output json"),
    ("--multi-arch", "copy copies whole indexes; --platform selects images"),
    ("--no-color", "set the variable NO_COLOR=1"),
    ("--os", "use --platform OS/ARCH"),
    ("--src-tls-verify", "use --insecure=HOST to skip certificate checks, or --plain-http=HOST for HTTP without TLS"),
    ("--tag", "use --tags for more tags, or push from-images --target for the index"),
    ("--tls-verify", "use --insecure to skip certificate checks, or --plain-http for HTTP without TLS"),
    ("--verbose", "use --debug to log every request"),
    ("-f", "use push from-spec FILE"),
    ("-t", "use --tags for more tags, or push from-images -t for the index"),
];

/// Replaces the suggestion of a usage error with advice, if the unknown word is one of another program.
pub(super) fn with_advice(mut error: clap::Error) -> clap::Error {
    let Some(advice) = advice(&error) else { return error };
    for kind in
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::Suggested, ContextKind::Usage]
    {
        error.remove(kind);
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(advice)]));
    error
}

fn advice(error: &clap::Error) -> Option<&'static str> {
    let (kind, table) = match error.kind() {
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, COMMANDS),
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, FLAGS),
        _ => return None,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else { return None };
    let word = word.split(['=', ' ']).next().unwrap_or_default();
    table.iter().find(|(known, _)| *known == word).map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::command;

    fn message(args: &[&str]) -> String {
        let args = std::iter::once(&"manifest-tool").chain(args);
        let error = command().try_get_matches_from(args).unwrap_err();
        with_advice(error).render().to_string()
    }

    #[test]
    fn words_of_other_programs_get_advice() {
        for (word, advice) in COMMANDS {
            let message = message(&[word, "x"]);
            assert!(message.contains(&format!("tip: {advice}")), "{message}");
        }
        for (flag, advice) in FLAGS {
            let message = message(&["remove", "x", flag]);
            assert!(message.contains(&format!("tip: {advice}")) && !message.contains("similar"), "{message}");
        }
        assert!(message(&["copy", "a", "b", "--tls-verify=false"]).contains("tip: use --insecure"));
        assert!(message(&["verfy", "x"]).contains("'verify'"));
    }

    #[test]
    fn every_command_and_flag_in_advice_exists() {
        let mut known = crate::cli::arguments::known_words(&command());
        known.extend(["from-images", "from-spec", "from-args", "version"].map(str::to_owned));
        for (_, advice) in COMMANDS.iter().chain(FLAGS) {
            let words = advice.split([' ', ',', ';', '=']);
            let flags = words.filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.is_empty());
            for flag in flags {
                assert!(known.contains(flag), "{advice}: {flag}");
            }
        }
        // Advice is only for words that are not commands themselves.
        assert!(COMMANDS.iter().all(|(word, _)| command().find_subcommand(word).is_none()));
    }
}
