//! From options to a store.

use super::{
    StoreError, StoreOptions, StoreTrouble,
    error::About,
    named::{Named, NamedParts},
    url::Provider,
};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder,
    client::{ReqwestConnector, SpawnedReqwestConnector},
    gcp::GoogleCloudStorageBuilder,
    http::HttpBuilder,
    local::LocalFileSystem,
    multipart::MultipartStore,
};
use std::{fmt::Display, str::FromStr, sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// How long a connection may take to come about, within the time of the whole request.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest pause between two tries: the time of a request is short, and should hold more than one.
const PAUSE: Duration = Duration::from_secs(3);
/// Tries of one request: more than fit between pauses into any sensible time.
const TRIES: usize = 10;

/// A store, and how to write to it in parts that come from several processes.
#[derive(Clone)]
pub(super) struct Built {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Nothing where the store has no such thing.
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
}

/// Where a client's connections live.
#[derive(Clone, Debug)]
pub(super) enum Connections {
    /// On the runtime that asks. It must live as long as the store.
    Here,
    /// On this one.
    On(Handle),
}

macro_rules! with_connections {
    ($builder:expr, $connections:expr) => {
        match $connections {
            Connections::Here => $builder.with_http_connector(ReqwestConnector::default()),
            Connections::On(runtime) => $builder.with_http_connector(SpawnedReqwestConnector::new(runtime.clone())),
        }
    };
}

pub(super) fn build(options: &StoreOptions, connections: &Connections) -> Result<Built, StoreError> {
    let about = options.about();
    let wrong = |error: object_store::Error| misconfigured(options, &about, &error);
    let named = |store: Arc<dyn ObjectStore>| -> Arc<dyn ObjectStore> {
        Arc::new(Named::new(store, options.url.as_str(), about.clone()))
    };
    let both = |store: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>| {
        let parts = NamedParts::new(parts, options.url.as_str(), about.clone());
        Built { store: named(store), parts: Some(Arc::new(parts)) }
    };
    Ok(match options.url.provider {
        Provider::Files => files(),
        Provider::Http => {
            let mut builder = HttpBuilder::new().with_url(options.url.as_str()).with_client_options(client(options));
            for (key, value) in settings(options)? {
                builder = builder.with_config(key, value);
            }
            let store = with_connections!(builder.with_retry(retry(options)), connections).build().map_err(wrong)?;
            Built { store: named(Arc::new(store)), parts: None }
        }
        Provider::S3 => {
            let mut builder = AmazonS3Builder::new().with_bucket_name(options.url.host());
            builder = builder.with_client_options(client(options)).with_retry(retry(options));
            for (key, value) in settings(options)? {
                builder = builder.with_config(key, value);
            }
            if let Some(endpoint) = bucket_endpoint(options) {
                builder = builder.with_endpoint(endpoint);
            }
            let store = Arc::new(with_connections!(builder, connections).build().map_err(wrong)?);
            both(store.clone(), store)
        }
        Provider::Gcs => {
            let mut builder = GoogleCloudStorageBuilder::new().with_bucket_name(options.url.host());
            builder = builder.with_client_options(client(options)).with_retry(retry(options));
            for (key, value) in settings(options)? {
                builder = builder.with_config(key, value);
            }
            let store = Arc::new(with_connections!(builder, connections).build().map_err(wrong)?);
            both(store.clone(), store)
        }
        Provider::Azure => {
            let mut builder = MicrosoftAzureBuilder::new().with_url(options.url.as_str());
            builder = builder.with_client_options(client(options)).with_retry(retry(options));
            for (key, value) in settings(options)? {
                builder = builder.with_config(key, value);
            }
            let store = Arc::new(with_connections!(builder, connections).build().map_err(wrong)?);
            both(store.clone(), store)
        }
    })
}

/// The file system of this machine.
pub(super) fn files() -> Built {
    let store = Named::new(Arc::new(LocalFileSystem::new()), "", About::files());
    Built { store: Arc::new(store), parts: None }
}

fn misconfigured(options: &StoreOptions, about: &About, error: &object_store::Error) -> StoreError {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let message = format!("{innermost}; {}", about.advice());
    StoreError::new(options.url.as_str(), StoreTrouble::Misconfigured, message)
}

/// The settings by the client's own keys.
fn settings<K: FromStr<Err: Display>>(options: &StoreOptions) -> Result<Vec<(K, String)>, StoreError> {
    let one = |name: &str, value: &str| match name.parse() {
        Ok(key) => Ok((key, value.to_owned())),
        Err(error) => {
            let message = format!("{error}");
            Err(StoreError::new(options.url.as_str(), StoreTrouble::Misconfigured, message))
        }
    };
    options.settings.iter().map(|(name, value)| one(name, value.reveal())).collect()
}

fn client(options: &StoreOptions) -> ClientOptions {
    // Whoever writes http:// means it.
    let plain = options.url.as_str().starts_with("http://")
        || options.about().endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    ClientOptions::new()
        .with_timeout(options.timeout)
        .with_connect_timeout(CONNECT.min(options.timeout))
        .with_allow_http(plain)
}

/// Tries begin in the first two thirds of the time, so that the last of them, which may wait for a connection, ends in it.
fn retry(options: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { max_backoff: PAUSE.min(options.timeout), ..BackoffConfig::default() },
        max_retries: TRIES,
        retry_timeout: options.timeout * 2 / 3,
    }
}

/// With the bucket as a part of the host's name, the client wants it in the endpoint.
fn bucket_endpoint(options: &StoreOptions) -> Option<String> {
    let by_host = options.get("aws_virtual_hosted_style_request") == Some("true");
    let (scheme, host) = options.get("aws_endpoint").filter(|_| by_host)?.split_once("://")?;
    let bucket = options.url.host();
    let there = host.starts_with(&format!("{bucket}."));
    Some(if there { format!("{scheme}://{host}") } else { format!("{scheme}://{bucket}.{host}") })
}
