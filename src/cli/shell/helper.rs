//! What the line editor asks while somebody types.

use super::{candidates::Names, commands, paint};
use hearth_plan::{SqlSession, text::Open};
use rustyline::{
    Context, Helper,
    completion::{Completer, Pair},
    highlight::{CmdKind, Highlighter},
    hint::{Hint, Hinter},
    history::SearchDirection,
    validate::{ValidationContext, ValidationResult, Validator},
};
use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Handle;

/// Bytes of a text that is coloured with every key: what is pasted can be much longer.
const MAX_PAINTED: usize = 64 << 10;

/// What the line editor asks while somebody types.
pub(super) struct ShellHelper {
    planner: SqlSession,
    runtime: Handle,
    /// Whether nothing is typed, for whoever wants to know what Ctrl-C interrupted.
    empty: Arc<AtomicBool>,
}

impl ShellHelper {
    pub(super) const fn new(planner: SqlSession, runtime: Handle, empty: Arc<AtomicBool>) -> Self {
        Self { planner, runtime, empty }
    }

    pub(super) const fn names(&self) -> Names<'_> {
        Names { planner: &self.planner, runtime: &self.runtime }
    }
}

impl Helper for ShellHelper {}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        // What counts stands before the cursor: at the beginning of `.help` nothing does.
        let typed = &line[..pos];
        let found = if typed.trim_start().starts_with('.') {
            commands::complete(&self.names(), typed)
        } else {
            self.names().at(line, pos)
        };
        let pair = |word: String| Pair { display: word.clone(), replacement: word };
        Ok((found.start, found.words.into_iter().map(pair).collect()))
    }
}

/// What is shown behind the cursor.
pub(super) enum Remark {
    /// The rest of a statement of the history, which → takes over.
    Rest(String),
    /// What is still open.
    Open(String),
}

impl Hint for Remark {
    fn display(&self) -> &str {
        match self {
            Self::Rest(text) | Self::Open(text) => text,
        }
    }

    fn completion(&self) -> Option<&str> {
        match self {
            Self::Rest(text) => Some(text),
            Self::Open(_) => None,
        }
    }
}

impl Hinter for ShellHelper {
    type Hint = Remark;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Remark> {
        self.empty.store(line.is_empty(), Ordering::Relaxed);
        if line.is_empty() || pos < line.len() || line.len() > MAX_PAINTED {
            return None;
        }
        if line.ends_with('\n') {
            return Some(Remark::Open(format!("  ({})", self.still_open(line))));
        }
        let start =
            context.history_index().saturating_sub(usize::from(context.history_index() == context.history().len()));
        let found = context.history().starts_with(line, start, SearchDirection::Reverse).ok()??;
        let rest = found.entry.get(pos..)?;
        let first = rest.lines().next().filter(|first| !first.is_empty())?;
        Some(Remark::Rest(first.to_owned()))
    }
}

impl ShellHelper {
    /// What a line that is continued waits for.
    fn still_open(&self, text: &str) -> String {
        match self.planner.scan(text).open {
            Some((Open::Text, line)) => format!("' of line {line} is open"),
            Some((Open::Name, line)) => format!("\" of line {line} is open"),
            Some((Open::Dollar, line)) => format!("$ of line {line} is open"),
            Some((Open::Comment, line)) => format!("/* of line {line} is open"),
            Some((Open::Parenthesis, line)) => format!("( of line {line} is open"),
            None => "; ends the statement".into(),
        }
    }
}

impl Highlighter for ShellHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if line.len() > MAX_PAINTED || line.trim_start().starts_with('.') {
            return Cow::Borrowed(line);
        }
        Cow::Owned(paint::sql(line, &self.planner.scan(line)))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(paint::bold(prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(paint::dim(hint))
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        // A letter can make a keyword of what stands before it.
        kind != CmdKind::MoveCursor
    }
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input().trim();
        let complete = text.is_empty() || commands::of_line(text).is_some() || self.planner.scan(text).ended;
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_plan::SessionOptions;
    use rustyline::history::MemHistory;

    #[test]
    fn every_place_of_a_line_can_be_completed() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let planner = SqlSession::new(SessionOptions::default()).unwrap();
        let helper = ShellHelper::new(planner, runtime.handle().clone(), Arc::default());
        let history = MemHistory::new();
        let complete = |line: &str, pos| {
            let (start, found) = helper.complete(line, pos, &Context::new(&history)).unwrap();
            assert!(start <= pos, "{line:?} at {pos}");
            found.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>()
        };
        for line in [".help", " .format csv", ".explain select 1", "select 1"] {
            for pos in 0..=line.len() {
                complete(line, pos);
            }
        }
        assert_eq!(complete(".help", 3), ["help"]);
        assert!(!complete(".help", 0).contains(&"help".to_owned()));
    }
}
