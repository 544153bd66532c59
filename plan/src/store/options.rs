//! What a store is made of.

use super::{Secret, StoreUrl, error::About};
use ::url::Url;
use datafusion::common::{Result, plan_datafusion_err};
use prost::Message;
use std::{collections::BTreeMap, time::Duration};

/// What a store is made of, whoever makes it. Two that are equal make the same store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreOptions {
    pub(crate) url: StoreUrl,
    /// By the names that the clients give their settings, such as `aws_access_key_id`.
    pub(crate) settings: BTreeMap<String, Secret>,
    /// Where the credentials are from, for people; nothing when there are none.
    pub(crate) credentials: Option<String>,
    /// How long a request may take, tries and all.
    pub(crate) timeout: Duration,
}

/// The same in a stage's payload. Tags are never used again for another meaning.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct StoreMessage {
    #[prost(string, tag = "1")]
    url: String,
    #[prost(btree_map = "string, string", tag = "2")]
    settings: BTreeMap<String, String>,
    #[prost(string, optional, tag = "3")]
    credentials: Option<String>,
    #[prost(uint64, tag = "4")]
    timeout_millis: u64,
}

impl std::fmt::Debug for StoreMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreMessage({})", self.url)
    }
}

impl StoreOptions {
    pub(crate) fn to_message(&self) -> StoreMessage {
        StoreMessage {
            url: self.url.as_str().to_owned(),
            settings: self.settings.iter().map(|(k, v)| (k.clone(), v.reveal().to_owned())).collect(),
            credentials: self.credentials.clone(),
            timeout_millis: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Out of a payload, which comes from outside.
    pub(crate) fn of_message(message: StoreMessage) -> Result<Self> {
        let url = Url::parse(&message.url)
            .map_err(|e| plan_datafusion_err!("malformed URL of a store in a task's payload: {e}"))?;
        let settings = message.settings.into_iter().map(|(k, v)| (k, Secret::new(v))).collect();
        let timeout = Duration::from_millis(message.timeout_millis.max(1));
        Ok(Self { url: StoreUrl::of(&url)?, settings, credentials: message.credentials, timeout })
    }

    /// The value of a setting.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(Secret::reveal)
    }

    /// What errors may say.
    pub(super) fn about(&self) -> About {
        let endpoint = ["aws_endpoint_url_s3", "aws_endpoint", "google_base_url", "azure_storage_endpoint"];
        let endpoint = endpoint.iter().find_map(|name| self.get(name)).map(str::to_owned);
        About { provider: self.url.provider, endpoint, credentials: self.credentials.clone() }
    }
}
