use super::failure::Failure;
use super::global::Global;
use super::many::Many;
use super::print;
use super::talk::{self, say};
use crate::assemble::{Assembler, Event, PushOptions};
use crate::spec::Spec;
use crate::store::Store;

/// Indexes under way at once: enough to keep every connection busy, few enough that memory does not grow with a run.
const INDEXES: usize = 32;

/// How the indexes of a run are pushed and told of.
pub(super) struct Batch {
    pub(super) options: PushOptions,
    pub(super) fail_fast: bool,
    pub(super) debug: bool,
    /// Errors alone are told.
    pub(super) quiet: bool,
    pub(super) progress: bool,
}

impl Batch {
    /// Pushes all indexes.
    pub(super) fn run(&self, global: &Global, specs: &[Spec]) -> Result<(), Failure> {
        let Some(first) = specs.first() else { return Ok(()) };
        let sources = first.sources.iter().map(|source| &source.location);
        let client = global.client(std::iter::once(&first.target).chain(sources))?;
        let store = Store::new(&client);
        let shown = self.progress.then_some((specs.len(), "indexes"));
        global.block_on(&client, talk::with_progress(&store, shown, self.push(&store, specs)))
    }

    async fn push(&self, store: &Store<'_>, specs: &[Spec]) -> Result<(), Failure> {
        let assembler = Assembler::new(store, specs, self.options.clone());
        if let [only] = specs {
            let report = assembler.push(only, &|event| self.tell(&event, None)).await?;
            store.finish().await?;
            return print(&format!("Digest: {} {}\n", report.descriptor.digest, report.descriptor.size));
        }
        let (fail_fast, quiet) = (self.fail_fast, self.quiet);
        let many = Many { store, kind: "indexes", at_once: INDEXES, fail_fast, quiet };
        let push = async |spec: &Spec| Ok(assembler.push(spec, &|event| self.tell(&event, Some(spec))).await?);
        many.run(specs, |spec| &spec.target, push).await
    }

    fn tell(&self, event: &Event, of: Option<&Spec>) {
        let of = of.map(|spec| format!("{}: ", spec.target)).unwrap_or_default();
        match event {
            Event::SkippedMissing { .. } if !self.quiet => say(format_args!("warning: {of}{event}")),
            event if self.debug => say(format_args!("debug: {of}{event}")),
            _ => {}
        }
    }
}
