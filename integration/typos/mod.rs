//! Mistakes on a command line or in a spec. Each test takes the suggestion from the error message, replaces the mistake
//! with it, and runs the corrected command line.

mod exit_codes;
mod references;
mod specs;
mod values;
mod words;

use crate::support::images::push_image;
use crate::support::{Outcome, Sandbox};

/// A registry with the images of a small index, and a spec of that index.
struct Typos {
    sandbox: Sandbox,
    failures: Vec<String>,
    count: usize,
}

/// A spec that is valid with `HOST` replaced.
const SPEC: &str = "image: HOST/app:v2\nmanifests:\n- image: HOST/app:amd64\n- image: HOST/app:arm64\n";

impl Typos {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        for architecture in ["amd64", "arm64"] {
            push_image(&sandbox.registry, "app", architecture, architecture);
        }
        sandbox.write("app.yaml", SPEC);
        sandbox.run(&["push", "--type", "oci", "from-spec", "app.yaml"]).success();
        sandbox.run(&["copy", "HOST/app:v2", "HOST/app:v1"]).success();
        Self { sandbox, failures: Vec::new(), count: 0 }
    }

    /// Runs a command line with the mistake `typo` in it, follows the suggestion, and expects success.
    fn check(&mut self, args: &[&str], typo: &str) {
        let args: Vec<String> = args.iter().map(|arg| self.sandbox.fill(arg)).collect();
        let typo = self.sandbox.fill(typo);
        let mistaken = self.run(&args);
        let Some(meant) = suggestion(&mistaken.stderr) else {
            return self.fail(&args, &format!("no suggestion: {mistaken:?}"));
        };
        if mistaken.exit != 2 {
            self.fail(&args, &format!("exit code {}: {mistaken:?}", mistaken.exit));
        }
        let corrected: Vec<String> = args.iter().flat_map(|arg| replaced(arg, &typo, &meant)).collect();
        if corrected == args {
            return self.fail(&args, &format!("\"{typo}\" is not an argument"));
        }
        let followed = self.run(&corrected);
        if followed.exit != 0 {
            self.fail(&corrected, &format!("{followed:?}"));
        }
        self.count += 1;
    }

    fn run(&self, args: &[String]) -> Outcome {
        self.sandbox.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn fail(&mut self, args: &[String], why: &str) {
        self.failures.push(format!("{args:?}: {why}"));
    }

    #[track_caller]
    fn finish(self, at_least: usize) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        assert!(self.count >= at_least, "{} typos", self.count);
    }
}

/// Returns the arguments for one argument with the mistake replaced by a suggestion, which may be several words.
fn replaced(arg: &str, typo: &str, meant: &str) -> Vec<String> {
    let words = || meant.split(' ').map(str::to_owned).collect();
    match arg.split_once('=') {
        _ if arg == typo => words(),
        // A suggestion with a value replaces the flag and its value.
        Some((flag, _)) if flag == typo && meant.contains(' ') => words(),
        Some((flag, value)) if flag == typo => vec![format!("{meant}={value}")],
        _ if !typo.starts_with('-') => vec![arg.replace(typo, meant)],
        _ => vec![arg.to_owned()],
    }
}

/// Returns the suggestion of an error message: what was meant, or what to use.
fn suggestion(stderr: &str) -> Option<String> {
    if let Some((_, meant)) = stderr.rsplit_once("did you mean ") {
        return match meant.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\"?").map(|(meant, _)| meant.to_owned()),
            None => meant.split_once('?').map(|(meant, _)| meant.to_owned()),
        };
    }
    let (_, tip) = stderr.split_once("tip: ")?;
    let tip = tip.lines().next()?;
    if let Some((_, similar)) = tip.split_once("exists: '") {
        return similar.strip_suffix('\'').map(str::to_owned);
    }
    let used = tip.strip_prefix("use ")?;
    let ends = [" to ", " for ", " with ", ", ", "; "].into_iter().filter_map(|end| used.find(end));
    Some(used[..ends.min().unwrap_or(used.len())].to_owned())
}
