//! Which values must not be seen.

/// Whether the value of a key is a secret, by the key's name: Spark's own rule, and a few words more. It holds for keys that
/// Hearth does not have as well, since what they are for is not known.
pub fn is_secret(name: &str) -> bool {
    const WORDS: [&str; 11] = [
        "secret",
        "password",
        "passwd",
        "token",
        "access.key",
        "accesskey",
        "account.key",
        "customer.key",
        "credential",
        "private",
        "sas.",
    ];
    let name = name.to_ascii_lowercase().replace('_', ".");
    // A class, not a key.
    !name.ends_with(".provider") && WORDS.iter().any(|word| name.contains(word))
}

/// What is shown of a secret.
pub const REDACTED: &str = "*********(redacted)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for name in [
            "spark.hadoop.fs.s3a.access.key",
            "spark.hadoop.fs.s3a.secret.key",
            "spark.hadoop.fs.s3a.bucket.b.session.token",
            "spark.hadoop.fs.azure.account.key.acc.dfs.core.windows.net",
            "spark.ssl.keyStorePassword",
            "aws.access_key_id",
            "azure.sas_key",
            "passwd",
            "gcs.credential",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["spark.app.name", "spark.hadoop.fs.s3a.endpoint", "spark.hadoop.fs.s3a.aws.credentials.provider"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
