//! Which store a URL lies in.

use super::{StoreError, StoreTrouble};
use ::url::{Position, Url};
use std::fmt;

/// Who keeps the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Provider {
    /// This machine's file system.
    Files,
    S3,
    Gcs,
    Azure,
    Http,
}

impl Provider {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::S3 => "S3",
            Self::Gcs => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
            Self::Http => "HTTP",
        }
    }

    fn of_scheme(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "file" => Self::Files,
            "s3" | "s3a" => Self::S3,
            "gs" => Self::Gcs,
            "az" | "azure" | "abfs" | "abfss" => Self::Azure,
            "http" | "https" => Self::Http,
            _ => return None,
        })
    }
}

/// The part of a URL that names a store: scheme and host, and for `abfss://CONTAINER@ACCOUNT…` the container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoreUrl {
    pub(crate) provider: Provider,
    text: String,
    /// Where the host begins in it.
    host: usize,
}

impl StoreUrl {
    /// The store of a URL; refuses what no store can have.
    pub(crate) fn of(url: &Url) -> Result<Self, StoreError> {
        let scheme = url.scheme();
        // Whatever is wrong with the URL: a password in it must not be shown.
        let wrong = |message: String| {
            let shown = format!("{scheme}://{}", &url[Position::BeforeHost..Position::AfterPort]);
            StoreError::new(shown, StoreTrouble::Misconfigured, message)
        };
        let Some(provider) = Provider::of_scheme(scheme) else {
            let known = "s3, s3a, gs, az, abfs, abfss, http and https URLs and paths of files can be read";
            return Err(wrong(format!("{scheme}: is no scheme of a store; {known}")));
        };
        if provider == Provider::Files {
            return Ok(Self { provider, text: "file://".into(), host: 7 });
        }
        let container = provider == Provider::Azure && url.password().is_none();
        let someone = !url.username().is_empty() || url.password().is_some();
        if someone && !container {
            let message = "credentials in a URL are seen by everybody; set them by OPTIONS, --conf or the environment";
            return Err(wrong(message.into()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("a URL of a store names a bucket or a host after //".into()));
        }
        let prefix = format!("{scheme}://");
        let text = format!("{scheme}://{}", &url[Position::BeforeUsername..Position::AfterPort]);
        Ok(Self { provider, host: prefix.len(), text })
    }

    /// As text, without a slash at the end; the same text is the same store.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Bucket, container or host with port.
    pub(crate) fn host(&self) -> &str {
        &self.text[self.host..]
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<StoreUrl, String> {
        StoreUrl::of(&Url::parse(url).unwrap()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_store_is_scheme_and_host() {
        let table = [
            ("s3://bucket/a/b.parquet", "s3://bucket", Provider::S3),
            ("s3a://bucket", "s3a://bucket", Provider::S3),
            ("gs://bucket/x", "gs://bucket", Provider::Gcs),
            ("abfss://c@acc.dfs.core.windows.net/x", "abfss://c@acc.dfs.core.windows.net", Provider::Azure),
            ("http://127.0.0.1:9000/x", "http://127.0.0.1:9000", Provider::Http),
            ("file:///tmp/x", "file://", Provider::Files),
        ];
        for (url, text, provider) in table {
            let found = of(url).unwrap();
            assert_eq!((found.as_str(), found.provider), (text, provider), "{url}");
        }
        assert_eq!(of("http://h:9/x").unwrap().host(), "h:9");
    }

    #[test]
    fn what_is_no_store_is_refused_without_its_password() {
        assert!(of("hdfs://nn/x").unwrap_err().contains("hdfs: is no scheme of a store; s3, s3a"));
        let error = of("https://user:hunter2@host/x").unwrap_err();
        assert!(error.contains("https://host: credentials in a URL") && !error.contains("hunter2"), "{error}");
        assert!(of("s3:///key").unwrap_err().contains("names a bucket"));
    }
}
