//! Where a store's options come from: the statement, then the configuration, then the environment.

use super::{Secret, StoreError, StoreOptions, StoreTrouble, StoreUrl, url::Provider};
use ::object_store::{ClientConfigKey, aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

/// What a session knows of stores before anybody names one.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Configuration keys, such as `spark.hadoop.fs.s3a.access.key`; others than those of stores do not matter.
    pub conf: BTreeMap<String, Secret>,
    /// Environment variables, such as `AWS_ACCESS_KEY_ID`; others do not matter.
    pub environment: BTreeMap<String, Secret>,
    /// How long a request to a store may take, tries and all.
    pub timeout: Duration,
}

impl Default for StoreSettings {
    /// Nothing, and 30 s.
    fn default() -> Self {
        Self { conf: BTreeMap::new(), environment: BTreeMap::new(), timeout: Duration::from_secs(30) }
    }
}

/// Settings of one source, by the client's names, each with what the source calls it.
type Layer = Vec<(String, String, Secret)>;

const S3A: &str = "spark.hadoop.fs.s3a.";
const AZURE: &str = "spark.hadoop.fs.azure.";

impl StoreSettings {
    /// The options of a store, with those of a statement (`aws.access_key_id`) over everything else.
    pub(super) fn resolve(
        &self,
        url: &StoreUrl,
        statement: &BTreeMap<String, Secret>,
    ) -> Result<StoreOptions, StoreError> {
        let wrong = |message: String| StoreError::new(url.as_str(), StoreTrouble::Misconfigured, message);
        let mut options =
            StoreOptions { url: url.clone(), settings: BTreeMap::new(), credentials: None, timeout: self.timeout };
        apply(&mut options, self.of_environment(url.provider), "the environment");
        apply(&mut options, self.of_conf(url), "the configuration");
        apply(&mut options, of_statement(url, statement).map_err(wrong)?, "OPTIONS");
        read_key_file(&mut options).map_err(wrong)?;
        endpoint_as_url(&mut options, self.conf.get("spark.hadoop.fs.s3a.connection.ssl.enabled"));
        Ok(options)
    }

    fn of_environment(&self, provider: Provider) -> Layer {
        let prefix = match provider {
            Provider::S3 => "AWS_",
            Provider::Gcs => "GOOGLE_",
            Provider::Azure => "AZURE_",
            Provider::Files | Provider::Http => return Layer::new(),
        };
        let ours = self.environment.iter().filter(|(name, _)| name.starts_with(prefix));
        // A variable that the client has no setting for is meant for somebody else.
        ours.filter_map(|(name, value)| {
            Some((canonical(provider, &name.to_ascii_lowercase())?, name.clone(), value.clone()))
        })
        .collect()
    }

    fn of_conf(&self, url: &StoreUrl) -> Layer {
        let key = |name: String, setting: &str| Some((setting.to_owned(), name.clone(), self.conf.get(&name)?.clone()));
        match url.provider {
            Provider::Files | Provider::Http => Layer::new(),
            Provider::S3 => {
                let bucket = format!("{S3A}bucket.{}.", url.host());
                // What is said of the bucket counts more; later ones replace earlier ones.
                let both = [S3A, &bucket].into_iter().flat_map(|prefix| {
                    S3_KEYS.iter().filter_map(move |(name, setting)| key(format!("{prefix}{name}"), setting))
                });
                both.map(hadoop_value).collect()
            }
            Provider::Gcs => GCS_KEYS.iter().filter_map(|(name, setting)| key((*name).to_owned(), setting)).collect(),
            Provider::Azure => {
                let Some(account) = self.azure_account(url) else { return Layer::new() };
                let mut found: Layer = AZURE_KEYS
                    .iter()
                    .flat_map(|(name, setting)| {
                        ["dfs", "blob"].into_iter().filter_map(move |service| {
                            key(format!("{AZURE}{name}.{account}.{service}.core.windows.net"), setting)
                        })
                    })
                    .collect();
                if !found.is_empty() {
                    let name = "azure_storage_account_name".to_owned();
                    found.push((name.clone(), name, Secret::new(account)));
                }
                found
            }
        }
    }

    /// The account of an Azure URL, or the one that the environment names.
    fn azure_account<'a>(&'a self, url: &'a StoreUrl) -> Option<&'a str> {
        match url.host().split_once('@') {
            Some((_, host)) => host.split('.').next(),
            None => self.environment.get("AZURE_STORAGE_ACCOUNT_NAME").map(Secret::reveal),
        }
    }
}

/// Hadoop's keys of S3 after their prefix, and the settings that they are.
const S3_KEYS: [(&str, &str); 7] = [
    ("access.key", "aws_access_key_id"),
    ("secret.key", "aws_secret_access_key"),
    ("session.token", "aws_session_token"),
    ("endpoint", "aws_endpoint"),
    ("endpoint.region", "aws_region"),
    ("path.style.access", "aws_virtual_hosted_style_request"),
    ("aws.credentials.provider", "aws_skip_signature"),
];

/// Keys of Google's connector for Hadoop.
const GCS_KEYS: [(&str, &str); 3] = [
    ("spark.hadoop.google.cloud.auth.service.account.json.keyfile", "google_service_account"),
    ("spark.hadoop.fs.gs.storage.root.url", "google_base_url"),
    ("spark.hadoop.fs.gs.auth.null.enable", "google_skip_signature"),
];

/// Hadoop's keys of Azure before the account's host name.
const AZURE_KEYS: [(&str, &str); 4] = [
    ("account.key", "azure_storage_account_key"),
    ("sas.fixed.token", "azure_storage_sas_key"),
    ("account.oauth2.client.id", "azure_storage_client_id"),
    ("account.oauth2.client.secret", "azure_storage_client_secret"),
];

/// Two of Hadoop's keys say the same as the client's setting in other words.
fn hadoop_value((setting, name, value): (String, String, Secret)) -> (String, String, Secret) {
    let value = match setting.as_str() {
        "aws_virtual_hosted_style_request" => Secret::new((value.reveal() == "false").to_string()),
        "aws_skip_signature" => Secret::new(value.reveal().contains("Anonymous").to_string()),
        _ => value,
    };
    (setting, name, value)
}

/// The name that a client gives a setting, by any of its names; nothing when it has no such setting.
fn canonical(provider: Provider, name: &str) -> Option<String> {
    let client = |key: &str| key.parse::<ClientConfigKey>().ok().map(|k| k.as_ref().to_owned());
    match provider {
        Provider::Files => None,
        Provider::S3 => name.parse::<AmazonS3ConfigKey>().ok().map(|k| k.as_ref().to_owned()),
        Provider::Gcs => name.parse::<GoogleConfigKey>().ok().map(|k| k.as_ref().to_owned()),
        Provider::Azure => name.parse::<AzureConfigKey>().ok().map(|k| k.as_ref().to_owned()),
        Provider::Http => client(name),
    }
}

/// What options of a statement that are a store's begin with, and whose they are.
const PREFIXES: [(&str, Provider); 4] =
    [("aws", Provider::S3), ("gcp", Provider::Gcs), ("azure", Provider::Azure), ("http", Provider::Http)];

/// Whether an option of a statement is a store's rather than a format's.
pub(crate) fn is_of_store(option: &str) -> bool {
    option.split_once('.').is_some_and(|(given, _)| PREFIXES.iter().any(|(prefix, _)| *prefix == given))
}

/// The client's name of an option of a statement, without its prefix; nothing when there is no such setting.
fn setting_of(provider: Provider, name: &str) -> Option<String> {
    // As DataFusion's own shell calls it.
    canonical(provider, name.strip_suffix("_path").unwrap_or(name))
}

/// What a statement says of a store, over what earlier ones said of it. Credentials are one thing here too.
pub(super) fn over(
    provider: Provider,
    before: &BTreeMap<String, Secret>,
    said: &BTreeMap<String, Secret>,
) -> BTreeMap<String, Secret> {
    let setting = |option: &String| setting_of(provider, option.split_once('.')?.1);
    let again: BTreeSet<String> = said.keys().filter_map(setting).collect();
    let group = credentials(provider);
    let says_who = again.iter().any(|setting| group.contains(&setting.as_str()));
    let is_replaced =
        |option: &String| setting(option).is_none_or(|s| again.contains(&s) || says_who && group.contains(&s.as_str()));
    let kept = before.iter().filter(|(option, _)| !is_replaced(option));
    kept.chain(said).map(|(option, value)| (option.clone(), value.clone())).collect()
}

fn of_statement(url: &StoreUrl, statement: &BTreeMap<String, Secret>) -> Result<Layer, String> {
    let mut layer = Layer::new();
    for (option, value) in statement {
        let (given, name) = option.split_once('.').unwrap_or(("", option));
        let expected = PREFIXES.iter().find(|(_, provider)| *provider == url.provider).map_or("", |(prefix, _)| prefix);
        if given != expected {
            let store = url.provider.name();
            return Err(format!("option {option} means nothing for {store}, whose options begin with {expected:?}"));
        }
        let found = setting_of(url.provider, name).ok_or_else(|| {
            format!("{} has no option {option}; those of DataFusion's object_store can be given", url.provider.name())
        })?;
        layer.push((found, option.clone(), value.clone()));
    }
    Ok(layer)
}

/// The settings that together say who asks.
const fn credentials(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::Files | Provider::Http => &[],
        Provider::S3 => &["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_skip_signature"],
        Provider::Gcs => &[
            "google_service_account",
            "google_service_account_key",
            "google_application_credentials",
            "google_skip_signature",
        ],
        Provider::Azure => &[
            "azure_storage_account_key",
            "azure_storage_sas_key",
            "azure_storage_token",
            "azure_storage_client_id",
            "azure_storage_client_secret",
            "azure_skip_signature",
        ],
    }
}

/// Puts one source over the others. Credentials are one thing: a key of one source and a token of another are none.
fn apply(options: &mut StoreOptions, layer: Layer, source: &str) {
    let group = credentials(options.url.provider);
    let named: Vec<&str> =
        layer.iter().filter(|(setting, ..)| group.contains(&setting.as_str())).map(|(_, n, _)| n.as_str()).collect();
    if !named.is_empty() {
        options.settings.retain(|setting, _| !group.contains(&setting.as_str()));
        options.credentials = Some(format!("{source} ({})", named.join(", ")));
    }
    // An empty value is an unset one.
    options.settings.extend(layer.into_iter().filter(|(_, _, v)| !v.reveal().is_empty()).map(|(s, _, v)| (s, v)));
}

/// Google's key lies in a file of the driver's machine, which executors may not have: what travels is what is in it.
fn read_key_file(options: &mut StoreOptions) -> Result<(), String> {
    for setting in ["google_service_account", "google_application_credentials"] {
        let Some(path) = options.get(setting).map(str::to_owned) else { continue };
        let key = fs::read_to_string(&path).map_err(|e| format!("the key file {path}: {e}"))?;
        if setting == "google_service_account" || key.contains("\"service_account\"") {
            options.settings.remove(setting);
            options.settings.insert("google_service_account_key".into(), Secret::new(key));
        }
    }
    Ok(())
}

/// Hadoop takes an endpoint without a scheme, and says elsewhere whether to encrypt.
fn endpoint_as_url(options: &mut StoreOptions, ssl: Option<&Secret>) {
    let Some(endpoint) = options.get("aws_endpoint").filter(|e| !e.contains("://")) else { return };
    let scheme = if ssl.is_some_and(|ssl| ssl.reveal() == "false") { "http" } else { "https" };
    let endpoint = Secret::new(format!("{scheme}://{endpoint}"));
    options.settings.insert("aws_endpoint".into(), endpoint);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::url::Url;

    fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Secret::new(*v))).collect()
    }

    fn resolve(
        url: &str,
        statement: &[(&str, &str)],
        conf: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Result<StoreOptions, String> {
        let settings =
            StoreSettings { conf: secrets(conf), environment: secrets(environment), ..StoreSettings::default() };
        let url = StoreUrl::of(&Url::parse(url).unwrap()).unwrap();
        settings.resolve(&url, &secrets(statement)).map_err(|e| e.to_string())
    }

    fn shown(options: &StoreOptions) -> Vec<(&str, &str)> {
        options.settings.iter().map(|(k, v)| (k.as_str(), v.reveal())).collect()
    }

    #[test]
    fn a_statement_is_over_the_configuration_over_the_environment() {
        let environment = [
            ("AWS_ACCESS_KEY_ID", "env"),
            ("AWS_SECRET_ACCESS_KEY", "env"),
            ("AWS_SESSION_TOKEN", "env"),
            ("AWS_REGION", "eu-1"),
            ("AWS_PROFILE", "nobody's"),
            ("PATH", "/bin"),
        ];
        let of_env = resolve("s3://b", &[], &[], &environment).unwrap();
        assert_eq!(of_env.get("aws_access_key_id"), Some("env"));
        let from = "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN)";
        assert_eq!(of_env.credentials.as_deref(), Some(from));

        let conf = [("spark.hadoop.fs.s3a.access.key", "conf"), ("spark.hadoop.fs.s3a.secret.key", "conf")];
        let of_conf = resolve("s3a://b", &[], &conf, &environment).unwrap();
        // The environment's token belongs to the environment's key.
        let expected = [("aws_access_key_id", "conf"), ("aws_region", "eu-1"), ("aws_secret_access_key", "conf")];
        assert_eq!(shown(&of_conf), expected);

        let statement = [("aws.access_key_id", "sql"), ("aws.secret_access_key", "sql"), ("aws.region", "us-2")];
        let of_sql = resolve("s3://b", &statement, &conf, &environment).unwrap();
        let expected = [("aws_access_key_id", "sql"), ("aws_region", "us-2"), ("aws_secret_access_key", "sql")];
        assert_eq!(shown(&of_sql), expected);
        assert_eq!(of_sql.credentials.as_deref(), Some("OPTIONS (aws.access_key_id, aws.secret_access_key)"));
    }

    #[test]
    fn a_statement_is_over_earlier_ones_option_by_option() {
        let key = [("aws.access_key_id", "k"), ("aws.secret_access_key", "s"), ("aws.session_token", "t")];
        let merged = |before: &[(&str, &str)], said: &[(&str, &str)]| {
            let merged = over(Provider::S3, &secrets(before), &secrets(said));
            merged.iter().map(|(k, v)| format!("{k}={}", v.reveal())).collect::<Vec<_>>()
        };
        let of_key = ["aws.access_key_id=k", "aws.region=r", "aws.secret_access_key=s", "aws.session_token=t"];
        assert_eq!(merged(&key, &[("aws.region", "r")]), of_key);
        // The same setting by another of its names.
        assert_eq!(merged(&[("aws.aws_region", "old")], &[("aws.region", "r")]), ["aws.region=r"]);
        // A token of one statement and a key of another are no credentials.
        let other = [("aws.access_key_id", "k2"), ("aws.secret_access_key", "s2")];
        let expected = ["aws.access_key_id=k2", "aws.region=r", "aws.secret_access_key=s2"];
        assert_eq!(merged(&[&key[..], &[("aws.region", "r")]].concat(), &other), expected);
    }

    #[test]
    fn hadoops_keys_of_s3_are_understood_per_bucket_too() {
        let conf = [
            ("spark.hadoop.fs.s3a.endpoint", "127.0.0.1:9000"),
            ("spark.hadoop.fs.s3a.connection.ssl.enabled", "false"),
            ("spark.hadoop.fs.s3a.path.style.access", "true"),
            ("spark.hadoop.fs.s3a.access.key", "all"),
            ("spark.hadoop.fs.s3a.bucket.my.bucket.access.key", "one"),
        ];
        let get = |url, name| resolve(url, &[], &conf, &[]).unwrap().get(name).map(str::to_owned);
        assert_eq!(get("s3a://x", "aws_endpoint").unwrap(), "http://127.0.0.1:9000");
        assert_eq!(get("s3a://x", "aws_virtual_hosted_style_request").unwrap(), "false");
        assert_eq!(get("s3a://x", "aws_access_key_id").unwrap(), "all");
        assert_eq!(get("s3a://my.bucket", "aws_access_key_id").unwrap(), "one");
        let anonymous = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider";
        let conf = [("spark.hadoop.fs.s3a.aws.credentials.provider", anonymous)];
        let options = resolve("s3://b", &[], &conf, &[]).unwrap();
        assert_eq!(options.get("aws_skip_signature"), Some("true"));
    }

    #[test]
    fn azure_and_google_have_theirs() {
        let conf = [("spark.hadoop.fs.azure.account.key.acc.dfs.core.windows.net", "k")];
        let azure = resolve("abfss://c@acc.dfs.core.windows.net", &[], &conf, &[]).unwrap();
        assert_eq!(azure.get("azure_storage_account_key"), Some("k"));
        let other = resolve("abfss://c@other.dfs.core.windows.net", &[], &conf, &[]).unwrap();
        assert_eq!(other.get("azure_storage_account_key"), None);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.json");
        fs::write(&file, "{\"type\": \"service_account\", \"private_key\": \"p\"}").unwrap();
        let environment = [("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap())];
        let google = resolve("gs://b", &[], &[], &environment).unwrap();
        assert!(google.get("google_service_account_key").unwrap().contains("private_key"));
        assert_eq!(google.get("google_application_credentials"), None);
        let error = resolve("gs://b", &[("gcp.service_account_path", "/nonexistent")], &[], &[]).unwrap_err();
        assert!(error.starts_with("gs://b: the key file /nonexistent: "), "{error}");
    }

    #[test]
    fn an_option_that_means_nothing_is_refused() {
        let error = resolve("s3://b", &[("gcp.service_account_key", "x")], &[], &[]).unwrap_err();
        assert!(error.contains("option gcp.service_account_key means nothing for S3"), "{error}");
        let error = resolve("s3://b", &[("aws.acces_key", "x")], &[], &[]).unwrap_err();
        assert!(error.contains("S3 has no option aws.acces_key"), "{error}");
    }

    #[test]
    fn nothing_printed_has_a_secret() {
        let statement = [("aws.access_key_id", "AKIA"), ("aws.secret_access_key", "hunter2")];
        let options = resolve("s3://b", &statement, &[], &[]).unwrap();
        let message = options.to_message();
        let settings = StoreSettings { conf: secrets(&[("k", "hunter2")]), ..StoreSettings::default() };
        let printed = format!("{options:?} {message:?} {settings:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("AKIA"), "{printed}");
        assert_eq!(StoreOptions::of_message(message).unwrap(), options);
    }
}
