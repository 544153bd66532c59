//! What went wrong at a store.

use super::url::Provider;
use ::url::Url;
use datafusion::common::DataFusionError;
use object_store::client::{HttpError, HttpErrorKind};
use std::{error::Error, fmt, io, sync::Arc};

/// What kind of trouble it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// There is no such file, bucket or container.
    Missing,
    /// The store, or this machine, does not let us.
    Refused,
    /// The options make no sense, or the URL does not.
    Misconfigured,
    /// No answer, or none in time, or the store is in trouble itself.
    Unreachable,
    /// The store took the request for wrong, or cannot do it.
    Rejected,
    /// Anything else, such as a broken disk.
    Other,
}

impl StoreTrouble {
    /// Whether the same request may succeed a while later, or from another machine.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::Other)
    }
}

/// What went wrong at a store, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    url: String,
    trouble: StoreTrouble,
    message: String,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.message)
    }
}

impl Error for StoreError {}

impl From<StoreError> for DataFusionError {
    fn from(error: StoreError) -> Self {
        Self::External(Box::new(error))
    }
}

impl StoreError {
    pub(super) fn new(url: impl Into<String>, trouble: StoreTrouble, message: impl Into<String>) -> Self {
        Self { url: url.into(), trouble, message: message.into() }
    }

    /// What kind of trouble it was.
    pub const fn trouble(&self) -> StoreTrouble {
        self.trouble
    }

    /// The error of a store in the chain that leads to `error`, if there is one.
    pub(crate) fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut error = error;
        // Longer chains are cycles.
        for _ in 0..64 {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            error = match error.downcast_ref::<Arc<DataFusionError>>() {
                Some(shared) => shared.as_ref(),
                None => error.source()?,
            };
        }
        None
    }

    /// An error without one.
    pub(crate) fn other(url: &Url, error: &dyn Error) -> Self {
        Self::new(url.as_str(), StoreTrouble::Other, error.to_string())
    }

    /// What the client of a store says, in fewer words. `options` are its settings as far as they may be seen.
    pub(super) fn of_client(url: String, at: &About, error: &object_store::Error) -> Self {
        let (trouble, message) = match error {
            object_store::Error::NotFound { .. } => (StoreTrouble::Missing, at.missing(&said(error))),
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                (StoreTrouble::Refused, at.refused(&said(error)))
            }
            object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
                (StoreTrouble::Rejected, format!("{} cannot do this: {}", at.provider.name(), said(error)))
            }
            _ => at.other(error),
        };
        Self::new(url, trouble, message)
    }
}

/// What errors of a store say about it.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) provider: Provider,
    /// Where requests go, when somebody said so.
    pub(super) endpoint: Option<String>,
    /// Where the credentials are from; nothing when there are none.
    pub(super) credentials: Option<String>,
}

impl About {
    pub(super) fn files() -> Self {
        Self { provider: Provider::Files, endpoint: None, credentials: None }
    }

    fn missing(&self, said: &str) -> String {
        match self.provider {
            Provider::Files => "no such file".into(),
            _ if said.contains("NoSuchBucket") => "there is no such bucket".into(),
            _ => "there is no such object".into(),
        }
    }

    fn refused(&self, said: &str) -> String {
        if self.provider == Provider::Files {
            return "permission denied".into();
        }
        let from = match &self.credentials {
            Some(from) => format!("the credentials from {from}"),
            None => "a request without credentials".into(),
        };
        format!("{} refused {from}: {said}; {}", self.provider.name(), self.advice())
    }

    /// What to set.
    pub(super) fn advice(&self) -> &'static str {
        match self.provider {
            Provider::Files => "see the file's permissions",
            Provider::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or spark.hadoop.fs.s3a.access.key and \
                 spark.hadoop.fs.s3a.secret.key"
            }
            Provider::Gcs => {
                "set GOOGLE_APPLICATION_CREDENTIALS, or spark.hadoop.google.cloud.auth.service.account.json.keyfile"
            }
            Provider::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or \
                 spark.hadoop.fs.azure.account.key.ACCOUNT.dfs.core.windows.net"
            }
            Provider::Http => "the server wants credentials, which cannot be given",
        }
    }

    /// What to set when nobody answers.
    const fn endpoint_keys(&self) -> &'static str {
        match self.provider {
            Provider::S3 => "AWS_ENDPOINT_URL or spark.hadoop.fs.s3a.endpoint",
            Provider::Gcs => "spark.hadoop.fs.gs.storage.root.url",
            Provider::Azure => "AZURE_STORAGE_ENDPOINT",
            Provider::Http | Provider::Files => "the URL",
        }
    }

    fn other(&self, error: &object_store::Error) -> (StoreTrouble, String) {
        let said = said(error);
        if let Some(error) = find::<io::Error>(error).filter(|_| self.provider == Provider::Files) {
            return match error.kind() {
                io::ErrorKind::NotFound => (StoreTrouble::Missing, "no such file".into()),
                io::ErrorKind::PermissionDenied => (StoreTrouble::Refused, "permission denied".into()),
                io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                    (StoreTrouble::Rejected, error.to_string())
                }
                _ => (StoreTrouble::Other, error.to_string()),
            };
        }
        let no_credentials = self.credentials.is_none() && said_anywhere(error, "169.254.");
        if no_credentials {
            let message = format!("no credentials were given, and this machine has none of its own; {}", self.advice());
            return (StoreTrouble::Refused, message);
        }
        if let Some(http) = find::<HttpError>(error) {
            let what = match http.kind() {
                HttpErrorKind::Timeout => "no answer in time (hearth.store.timeout)".into(),
                _ => format!("cannot be reached: {said}"),
            };
            let at = self.endpoint.as_ref().map(|e| format!(" at {e}")).unwrap_or_default();
            return (StoreTrouble::Unreachable, format!("{what}{at}; is {} right?", self.endpoint_keys()));
        }
        if said.contains("incorrectly configured region") {
            let message = "the bucket is in another region; set AWS_REGION or spark.hadoop.fs.s3a.endpoint.region";
            return (StoreTrouble::Misconfigured, message.into());
        }
        // Lists of objects say by a code what other requests say by the kind of their error.
        let status = chain(error).find_map(|e| status(&e.to_string()));
        let refused = ["AccessDenied", "ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"];
        if matches!(status, Some(401 | 403)) || refused.iter().any(|code| said.contains(code)) {
            return (StoreTrouble::Refused, self.refused(&said));
        }
        match status {
            Some(404) => (StoreTrouble::Missing, self.missing(&said)),
            Some(400..500) => (StoreTrouble::Rejected, said),
            Some(500..) => (StoreTrouble::Unreachable, format!("the store is in trouble: {said}")),
            _ => (StoreTrouble::Other, said),
        }
    }
}

/// The status of an HTTP answer, in the client's words about it.
fn status(message: &str) -> Option<u16> {
    message.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'e (dyn Error + 'static)| (*e).source()).take(64)
}

fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    chain(error).find_map(|e| e.downcast_ref())
}

fn said_anywhere(error: &(dyn Error + 'static), text: &str) -> bool {
    chain(error).any(|e| e.to_string().contains(text))
}

/// The innermost words of an error; of an answer in XML its code and message.
fn said(error: &object_store::Error) -> String {
    /// Characters that people read.
    const SHOWN: usize = 300;
    let innermost = chain(error).last().map(ToString::to_string).unwrap_or_default();
    let element = |name: &str| {
        let (_, rest) = innermost.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code} ({message})"),
        (Some(code), None) => code.to_owned(),
        _ => innermost.chars().take(SHOWN).collect::<String>().trim_end_matches([':', ' ', '\n']).to_owned(),
    }
}
