//! Diagnostics: what to tell the user about the input.
//!
//! A stage collects everything it can see into [`Diagnostics`]. Whoever reports an error gets a
//! [`Reported`]; nothing else makes one, so failing without saying why does not compile.
//!
//! To add a rule: a line in [`code`], its story in `diag/explain/<code>.md`, the check in its
//! family under `topology/rules`, a fixture in `tests/diagnostics`. `tests/tidy.rs` names the
//! part that is missing.

mod code;
mod human;
mod suggest;

pub use code::{Code, Severity};
pub(crate) use human::{Page, printable, shown};
pub use human::{is_hidden, render, summary};
pub use suggest::nearest;

use std::collections::BTreeSet;

use rayon::prelude::*;

use crate::source::Span;

/// Proof that an error was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reported(());

/// A place in the source with what there is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What; may be empty.
    pub text: String,
}

/// One message: a fact, the place where it shows, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its stable name.
    pub code: Code,
    /// What is wrong, in the user's words.
    pub message: String,
    /// Where it shows; `None` when the cause is not in the file (a command line value).
    pub primary: Option<Label>,
    /// Other places that tell the story.
    pub context: Vec<Label>,
    /// How to mend it.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// Whether it stops the compiler.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.code.severity() == Severity::Error
    }
}

/// All that a run has to say.
#[derive(Debug, Default, Clone)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    allowed: BTreeSet<Code>,
}

impl Diagnostics {
    /// Nothing to say yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports `code`, whose severity decides whether the pipeline stops.
    pub fn report(&mut self, code: Code, message: impl Into<String>) -> Draft<'_> {
        self.list.push(Diagnostic {
            code,
            message: message.into(),
            primary: None,
            context: Vec::new(),
            help: Vec::new(),
        });
        Draft(self.list.last_mut().expect("an element was pushed on the line above"))
    }

    /// Reports an error.
    pub fn error(&mut self, code: Code, message: impl Into<String>) -> Draft<'_> {
        debug_assert_eq!(code.severity(), Severity::Error, "{code} is a warning");
        self.report(code, message)
    }

    /// Reports a warning.
    pub fn warning(&mut self, code: Code, message: impl Into<String>) -> Draft<'_> {
        debug_assert_eq!(code.severity(), Severity::Warning, "{code} is an error");
        self.report(code, message)
    }

    /// Looks at every item on all cores; results and what was said come in the order of the items.
    pub fn each<T: Send, R: Send>(&mut self, items: Vec<T>, look: impl Fn(T, &mut Self) -> R + Sync) -> Vec<R> {
        let looked: Vec<_> = items
            .into_par_iter()
            .map(|item| {
                let mut said = Self::new();
                (look(item, &mut said), said)
            })
            .collect();
        looked.into_iter().map(|(result, said)| self.keep(result, said)).collect()
    }

    /// Looks at something that stops at its own errors, and not at those of others.
    pub fn apart<R>(&mut self, look: impl FnOnce(&mut Self) -> R) -> R {
        let mut said = Self::new();
        let result = look(&mut said);
        self.keep(result, said)
    }

    fn keep<R>(&mut self, result: R, said: Self) -> R {
        self.list.extend(said.list);
        self.allowed.extend(said.allowed);
        result
    }

    /// `Err` if an error was reported so far.
    ///
    /// # Errors
    /// When there is at least one error among the diagnostics.
    pub fn check(&self) -> Result<(), Reported> {
        if self.list.iter().any(Diagnostic::is_error) { Err(Reported(())) } else { Ok(()) }
    }

    /// Every diagnostic in the order of the places in the file.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<_> =
            self.list.iter().filter(|it| it.is_error() || !self.allowed.contains(&it.code)).collect();
        list.sort_by_key(|it| (it.primary.as_ref().map(|label| label.span), it.code));
        list.dedup();
        list
    }

    /// Keeps quiet about a warning.
    pub fn allow(&mut self, code: Code) {
        self.allowed.insert(code);
    }
}

/// A diagnostic that is being written.
pub struct Draft<'a>(&'a mut Diagnostic);

impl Draft<'_> {
    /// The place where it shows.
    pub fn at(self, span: Span, text: impl Into<String>) -> Self {
        self.0.primary = Some(Label { span, text: text.into() });
        self
    }

    /// The place where it shows, if the file is where it does.
    pub fn at_if(self, span: Option<Span>) -> Self {
        if let Some(span) = span { self.at(span, "") } else { self }
    }

    /// Another place that tells the story.
    pub fn context(self, span: Span, text: impl Into<String>) -> Self {
        self.0.context.push(Label { span, text: text.into() });
        self
    }

    /// A way out.
    pub fn help(self, text: impl Into<String>) -> Self {
        self.0.help.push(text.into());
        self
    }

    /// A way out, if there is one.
    pub fn help_if(self, text: Option<String>) -> Self {
        if let Some(text) = text { self.help(text) } else { self }
    }

    /// The proof that this error was reported.
    #[must_use]
    pub fn reported(self) -> Reported {
        assert!(self.0.is_error(), "a warning is no reason to stop");
        Reported(())
    }
}
