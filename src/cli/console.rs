//! Output to stderr and stdout, with secrets masked.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use serde::Serialize;

use super::failure::Failure;
use super::label::Label;
use super::output_format::OutputFormat;
use super::progress::{Activity, Progress};
use super::render::{self, Colour, ProblemReport, Severity};
use super::secrets::ArgumentSecrets;
use crate::event::{Check, Event, Level, Warning};
use crate::image::{LayoutReference, Location, visible};
use crate::registry::{Client, Secrets as SentSecrets};

/// Writes messages to stderr and results to stdout. Everything that prints receives a reference; the client's events
/// arrive here too.
///
/// It masks secrets in both streams, keeps progress lines on a terminal apart from other output, and applies `--quiet`,
/// `--debug` and `--output`.
pub(super) struct Console {
    options: ConsoleOptions,
    started: Instant,
    /// Whether this is a step of GitHub Actions, so that errors and warnings are also annotations.
    is_github_actions: bool,
    argument_secrets: ArgumentSecrets,
    sent_secrets: OnceLock<SentSecrets>,
    progress: Mutex<Option<Arc<Progress>>>,
    /// Whether messages about events name the target, because the run has several.
    names_targets: AtomicBool,
    /// Whether the warning about OCI images in a Docker list has been printed; a batch prints it once.
    has_warned_of_oci: AtomicBool,
    /// Whether each check of `verify` is shown.
    shows_checks: AtomicBool,
    /// Whether an archive is written to stdout, so that text goes to stderr.
    has_stdout_archive: AtomicBool,
    /// The first failure to write an event to stdout.
    print_failure: Mutex<Option<Failure>>,
}

/// The output flags of the command line. Defaults to text with warnings, without a log.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ConsoleOptions {
    /// `--quiet`: no warnings, notes, summaries or progress.
    pub(super) quiet: bool,
    /// `--debug`: one line per event.
    pub(super) debug: bool,
    /// `--output`: the format of results on stdout.
    pub(super) format: OutputFormat,
}

impl Console {
    /// Creates a console for messages about the command line, before its options are known.
    pub(super) fn new(argument_secrets: ArgumentSecrets) -> Self {
        Self {
            options: ConsoleOptions::default(),
            started: Instant::now(),
            is_github_actions: std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
            argument_secrets,
            sent_secrets: OnceLock::new(),
            progress: Mutex::new(None),
            names_targets: AtomicBool::new(false),
            has_warned_of_oci: AtomicBool::new(false),
            shows_checks: AtomicBool::new(false),
            has_stdout_archive: AtomicBool::new(false),
            print_failure: Mutex::new(None),
        }
    }

    pub(super) fn with_options(self, options: ConsoleOptions) -> Self {
        Self { options, ..self }
    }

    /// Returns the format of results.
    pub(super) fn format(&self) -> OutputFormat {
        self.options.format
    }

    /// Whether results are printed as one JSON document.
    pub(super) fn is_json(&self) -> bool {
        self.options.format == OutputFormat::Json
    }

    /// Masks the passwords and tokens that a client sends in all further output.
    pub(super) fn hide_secrets_of(&self, client: &Client) {
        let _ = self.sent_secrets.set(client.secrets().clone());
    }

    /// Replaces secrets, and arguments that look like secrets, with `****` in the text of a usage error.
    pub(super) fn mask_usage(&self, text: &str) -> String {
        self.argument_secrets.mask_all(text)
    }

    /// Masks the secrets of the command line and the environment in a problem.
    pub(super) fn masked_problem(&self, problem: ProblemReport) -> ProblemReport {
        problem.map_text(|text| self.scrubbed(&self.argument_secrets.mask(text)).into_owned())
    }

    /// Masks the secrets of the command line and the environment in the message and hints of a failure.
    pub(super) fn masked(&self, failure: Failure) -> Failure {
        failure.map_text(|text| self.argument_secrets.mask(text))
    }

    fn scrubbed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.sent_secrets.get().map_or(Cow::Borrowed(text), |secrets| secrets.scrub(text))
    }
}

/// Output to stderr.
impl Console {
    /// Prints a line even with `--quiet`. A failure to write to stderr does not end the run.
    pub(super) fn line(&self, line: impl Display) {
        self.print(&[(None, line.to_string())], &[]);
    }

    /// Prints a failure and its hints, with the secrets of the command line and the environment masked.
    pub(super) fn error(&self, failure: &Failure) {
        self.print_failure(failure, &failure.text());
    }

    /// Prints the failure of one of several references, and its hints, masked like those of [`Self::error`].
    pub(super) fn error_of(&self, name: &str, failure: &Failure) {
        self.print_failure(failure, &failure.text_naming(name));
    }

    fn print_failure(&self, failure: &Failure, text: &str) {
        // Annotations escape characters, so mask before that.
        let mask = |text: &str| self.scrubbed(&self.argument_secrets.mask(text)).into_owned();
        let (text, hints) = (mask(text), failure.hints().iter().map(|hint| mask(hint)));
        let hints: Vec<String> = hints.collect();
        let annotations =
            if self.is_annotating() { self.annotations(failure.problems(), &text, &hints) } else { Vec::new() };
        let hints = hints.iter().map(|hint| (Some(Label::Hint), hint.clone()));
        let messages: Vec<_> = std::iter::once((Some(Label::Error), text)).chain(hints).collect();
        self.print(&messages, &annotations);
    }

    /// Returns the annotations of a failure: one for each problem, if at least one is in a file, and else one for all.
    fn annotations(&self, problems: &[ProblemReport], text: &str, hints: &[String]) -> Vec<String> {
        if !problems.iter().any(ProblemReport::has_path) {
            return vec![render::text_annotation(Severity::Error, text, hints)];
        }
        let annotation = |(at, problem): (usize, &ProblemReport)| {
            let hints = if at == 0 { hints } else { &[] };
            render::problem_annotation(Severity::Error, &self.masked_problem(problem.clone()), hints)
        };
        problems.iter().enumerate().map(annotation).collect()
    }

    /// Prints the text of a usage error, which starts with a label.
    pub(super) fn usage_error(&self, text: &str) {
        match text.strip_prefix("error: ") {
            Some(text) => self.print(&[(Some(Label::Error), text.to_owned())], &[]),
            None => self.line(text),
        }
    }

    /// Prints the annotation of a usage error that has been printed: its first paragraph, without the label.
    pub(super) fn annotate_usage_error(&self, text: &str) {
        if self.is_annotating() {
            let text = text.strip_prefix("error: ").unwrap_or(text);
            let message = text.split("\n\n").next().unwrap_or_default();
            self.print(&[], &[render::text_annotation(Severity::Error, message, &[])]);
        }
    }

    /// Prints a line, except with `--quiet`.
    pub(super) fn info(&self, line: impl Display) {
        if !self.options.quiet {
            self.line(line);
        }
    }

    /// Prints a line about what a command with a single item did, if a person reads stderr at a terminal.
    pub(super) fn done(&self, line: impl FnOnce() -> String) {
        if std::io::stderr().is_terminal() {
            self.info(line());
        }
    }

    /// Prints a line about one of several finished items, if stdout does not show it already: at a terminal if stdout
    /// goes elsewhere, and in a log if stdout has a JSON document at the end.
    pub(super) fn item(&self, line: impl FnOnce() -> String) {
        let is_shown = match std::io::stderr().is_terminal() {
            true => !std::io::stdout().is_terminal() || self.is_json(),
            false => self.is_json(),
        };
        if is_shown {
            self.info(line());
        }
    }

    /// Prints a warning, except with `--quiet`.
    pub(super) fn warn(&self, text: impl Display) {
        if !self.options.quiet {
            self.alert(text);
        }
    }

    /// Prints a warning even with `--quiet`.
    pub(super) fn alert(&self, text: impl Display) {
        let text = self.scrubbed(&self.argument_secrets.mask(&text.to_string())).into_owned();
        self.print_warning(&text, || render::text_annotation(Severity::Warning, &text, &[]));
    }

    /// Prints a warning about a file, except with `--quiet`.
    pub(super) fn warn_of(&self, problem: &ProblemReport) {
        if !self.options.quiet {
            let masked = self.masked_problem(problem.clone());
            self.print_warning(&masked.text(), || render::problem_annotation(Severity::Warning, &masked, &[]));
        }
    }

    fn print_warning(&self, text: &str, annotation: impl FnOnce() -> String) {
        let is_annotated = self.is_annotating() && !self.options.quiet;
        let annotations = if is_annotated { vec![annotation()] } else { Vec::new() };
        self.print(&[(Some(Label::Warning), text.to_owned())], &annotations);
    }

    /// Prints a note, except with `--quiet`.
    pub(super) fn note(&self, text: impl Display) {
        if !self.options.quiet {
            self.print(&[(Some(Label::Note), text.to_string())], &[]);
        }
    }

    /// Prints a line of the debug log, with the time since the program started.
    fn debug(&self, text: impl Display) {
        self.line(format_args!("debug: [{:.3} s] {text}", self.started.elapsed().as_secs_f64()));
    }

    /// Whether messages are also annotations of GitHub Actions. The output of `lint --output github` has them already.
    fn is_annotating(&self) -> bool {
        self.is_github_actions && self.options.format != OutputFormat::Github
    }

    /// Prints messages with their labels, then annotations, which are workflow commands.
    fn print(&self, messages: &[(Option<Label>, String)], annotations: &[String]) {
        let is_coloured = is_coloured(std::io::stderr().is_terminal());
        let mut out = String::new();
        for (label, text) in messages {
            if let Some(label) = label {
                out += &label.text(is_coloured);
                out.push(' ');
            }
            // Untrusted text is escaped to one visible line by its type; this catches text without that type.
            let lines: String = text.split('\n').map(|line| visible(line) + "\n").collect();
            out += &self.scrubbed(&lines);
        }
        annotations.iter().for_each(|annotation| out += &(self.scrubbed(annotation).into_owned() + "\n"));
        let _ = self.without_progress(|| std::io::stderr().write_all(out.as_bytes()));
    }

    /// Prints a prompt at the terminal; the user's answer follows on the same line.
    pub(super) fn prompt(&self, text: &str) -> std::io::Result<()> {
        self.without_progress(|| {
            let mut stderr = std::io::stderr();
            stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush())
        })
    }
}

/// Messages about events.
impl Console {
    /// Names the target in further messages about events, because the run has several targets.
    pub(super) fn name_targets(&self) {
        self.names_targets.store(true, Ordering::Relaxed);
    }

    /// Shows each check of `verify`, if stderr is a terminal. A log would only get longer.
    pub(super) fn show_checks(&self) {
        self.shows_checks.store(std::io::stderr().is_terminal(), Ordering::Relaxed);
    }

    /// Shows an event.
    pub(super) fn event(&self, event: &Event) {
        if let Some(progress) = self.current_progress() {
            progress.event(event);
        }
        match event {
            Event::Checked(check) => self.print_check(check),
            Event::Verified { .. } if self.shows_checks.load(Ordering::Relaxed) => {
                self.info(format_args!("{}{}", self.target_of(event), render::event_text(event)));
            }
            _ => {}
        }
        if self.is_repeated(event) {
            return;
        }
        match event.level() {
            Level::Warning if !self.options.quiet => {
                let once = if self.is_shown_once(event) { " (shown once for all indexes)" } else { "" };
                match event {
                    Event::Warning { warning: Warning::Spec(problem), .. } => self.warn_of(&problem.into()),
                    _ => self.warn(format_args!("{}{}{once}", self.target_of(event), render::event_text(event))),
                }
            }
            Level::Warning | Level::Debug if self.options.debug => {
                self.debug(format_args!("{}{}", self.target_of(event), render::event_text(event)));
            }
            _ => {}
        }
    }

    /// Whether a batch shows this event only for its first index.
    fn is_shown_once(&self, event: &Event) -> bool {
        self.names_targets.load(Ordering::Relaxed)
            && matches!(event, Event::Warning { warning: Warning::OciInDockerList { .. }, .. })
    }

    fn is_repeated(&self, event: &Event) -> bool {
        self.is_shown_once(event) && self.has_warned_of_oci.swap(true, Ordering::Relaxed)
    }

    /// Returns the prefix of a message about an event: the target, if the run has several.
    fn target_of(&self, event: &Event) -> String {
        // A warning about a spec already names its position in the file.
        let is_of_spec = matches!(event, Event::Warning { warning: Warning::Spec(_), .. });
        let target = event.target().filter(|_| self.names_targets.load(Ordering::Relaxed) && !is_of_spec);
        target.map(|target| format!("{target}: ")).unwrap_or_default()
    }

    /// Prints a check of `probe`.
    fn print_check(&self, check: &Check) {
        let mut print_failure = self.print_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_json() && print_failure.is_none() {
            *print_failure = self.data(render::check_text(check)).err();
        }
    }

    /// Fails if an event could not be written to stdout.
    pub(super) fn check_printed(&self) -> Result<(), Failure> {
        self.print_failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// Output to stdout.
impl Console {
    /// Prints text. A reader that closes the pipe early, such as `head`, is not a failure.
    pub(super) fn data(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        or_closed(self.data_for_reader(text))
    }

    /// Keeps stdout free for an archive if one of the targets is one; text then goes to stderr.
    ///
    /// # Errors
    /// Several archives, or a document of `--output`, would also go there.
    pub(super) fn reserve_stdout<'l>(&self, targets: impl IntoIterator<Item = &'l Location>) -> Result<(), Failure> {
        let is_stream = |target: &&Location| target.layout().is_some_and(LayoutReference::is_stream);
        let mut archives: Vec<Location> = targets.into_iter().filter(is_stream).map(Location::without_name).collect();
        archives.dedup();
        let [archive] = archives.as_slice() else {
            return match archives.len() {
                0 => Ok(()),
                _ => Err(Failure::usage("only one archive can be written to standard output")),
            };
        };
        if self.is_json() {
            let why =
                format!("{archive} is written to standard output, where --output json prints; use --metadata-file");
            return Err(Failure::usage(why));
        }
        self.has_stdout_archive.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Prints text for a command that only reads. Fails with [`Failure::stdout_closed`] if the reader has closed the
    /// pipe, so that the run ends early.
    pub(super) fn data_for_reader(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.write(self.scrubbed(text.as_ref()).as_bytes())
    }

    /// Prints bytes verbatim.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        or_closed(self.write(bytes))
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.without_progress(|| {
            if self.has_stdout_archive.load(Ordering::Relaxed) {
                return std::io::stderr().lock().write_all(bytes);
            }
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        });
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::stdout_closed(),
            _ => Failure::new(format!("cannot write to stdout: {error}")),
        })
    }

    /// Returns the JSON of a document, as printed on stdout.
    pub(super) fn json(&self, document: &impl Serialize) -> Result<String, Failure> {
        let json = serde_json::to_string_pretty(document);
        let json = json.map_err(|error| Failure::new(format!("cannot write the JSON document: {error}")))?;
        Ok(render::escaped(&self.scrubbed(&(json + "\n"))))
    }

    /// Whether to colour text on stdout.
    pub(super) fn colour(&self) -> Colour {
        if is_coloured(std::io::stdout().is_terminal()) { Colour::Always } else { Colour::Never }
    }
}

/// Progress lines.
impl Console {
    /// Shows the progress of the run on a terminal, until [`Self::finish_progress`].
    pub(super) fn start_progress(&self, activity: Activity) {
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        if !self.options.quiet && !is_dumb && std::io::stderr().is_terminal() {
            let progress = Arc::new(Progress::start(activity));
            *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        }
    }

    /// Shows progress through this number of items.
    pub(super) fn begin_items(&self, total: usize) {
        if let Some(progress) = self.current_progress() {
            progress.begin_items(total);
        }
    }

    /// Counts one more item as finished.
    pub(super) fn item_done(&self, client: &Client) {
        if let Some(progress) = self.current_progress() {
            let traffic = client.traffic();
            progress.item_done(traffic.requests, traffic.retries);
        }
    }

    /// Removes the progress lines before the final output of the run.
    pub(super) fn finish_progress(&self) {
        let progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(progress) = progress {
            progress.finish();
        }
    }

    fn current_progress(&self) -> Option<Arc<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hides the progress lines while something is written to the terminal.
    fn without_progress<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.current_progress() {
            Some(progress) => progress.suspend(write),
            None => write(),
        }
    }
}

/// Whether to colour text: only on a terminal, and unless `NO_COLOR` is set (no-color.org) or the terminal has no colours.
fn is_coloured(is_terminal: bool) -> bool {
    let is_refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !is_refused() && !is_dumb()
}

fn or_closed(printed: Result<(), Failure>) -> Result<(), Failure> {
    printed.or_else(|failure| if failure.is_stdout_closed() { Ok(()) } else { Err(failure) })
}
