//! Names of things. One `Display` form everywhere: logs, command line, paths.
//!
//! Text ids are checked when they are parsed, because they become path components and log words: 1 to 128 bytes of
//! `[A-Za-z0-9._:-]`, not starting with a dot.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, sync::Arc};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a valid {kind} id: expected 1 to 128 letters, digits, '.', '_', ':' or '-', not starting with '.'"
)]
pub struct BadId {
    kind: &'static str,
    text: String,
}

const MAX_ID_BYTES: usize = 128;

fn parse_text(kind: &'static str, text: &str) -> Result<Arc<str>, BadId> {
    let fits = !text.is_empty()
        && text.len() <= MAX_ID_BYTES
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:-".contains(&b));
    if fits { Ok(text.into()) } else { Err(BadId { kind, text: text.chars().take(MAX_ID_BYTES).collect() }) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_text($kind, text).map(Self)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.to_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

text_id!(
    /// An application: `app-20261121093000-0001`.
    ApplicationId, "application"
);
text_id!(
    /// A worker: `worker-20261121093000-127.0.0.1-7079`. Kept for as long as its working directory is.
    WorkerId, "worker"
);
number_id!(
    /// An executor inside its application. Never used again after its death.
    ExecutorId, u32, "exec-"
);
number_id!(
    /// A job inside its application.
    JobId, u32, "job-"
);
number_id!(
    /// A stage inside its application.
    StageId, u32, "stage-"
);
number_id!(
    /// A shuffle inside its application: the output of one ShuffleMapStage.
    ShuffleId, u32, "shuffle-"
);
number_id!(
    /// One attempt of one task, unique inside its application.
    TaskId, u64, "task-"
);

impl ApplicationId {
    /// `app-<stamp>-<counter>`.
    pub fn new(stamp: crate::WallTime, counter: u32) -> Self {
        Self(format!("app-{}-{counter:04}", stamp.compact()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_cannot_leave_their_directory() {
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a\0b", "a b", "a\nb", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<ApplicationId>().is_err(), "{bad:?}");
        }
        for good in ["app-20261121093000-0001", "worker-1-127.0.0.1-80", "::1"] {
            assert_eq!(good.parse::<WorkerId>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn ids_name_their_kind_in_errors() {
        let e = "a/b".parse::<WorkerId>().unwrap_err();
        assert!(e.to_string().starts_with("\"a/b\" is not a valid worker id"), "{e}");
    }
}
