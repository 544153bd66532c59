//! A real S3 server on loopback, which keeps objects as files.

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tokio::{net::TcpListener, runtime::Runtime};

/// The keys that the server takes.
pub const ACCESS_KEY: &str = "hearth-test";
/// The secret that belongs to them.
pub const SECRET_KEY: &str = "a-secret-that-nobody-prints";

/// An S3 server with its buckets in a temporary directory. It ends when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    /// Where it answers, as `AWS_ENDPOINT_URL` has it.
    pub endpoint: String,
    root: tempfile::TempDir,
    /// Dropped last: connections live on it.
    _runtime: Runtime,
}

impl S3Server {
    /// Starts a server on a free port, with these buckets.
    pub fn start(buckets: &[&str]) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        for bucket in buckets {
            fs::create_dir(root.path().join(bucket)).expect("a bucket's folder");
        }
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).expect("a server's directory"));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                // A client that breaks off breaks only its own connection.
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        Self { endpoint, root, _runtime: runtime }
    }

    /// The folder of a bucket: what is put there is an object, and what is written to the server lies there.
    pub fn bucket(&self, bucket: &str) -> PathBuf {
        self.root.path().join(bucket)
    }

    /// Puts an object, whose key may have slashes.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        let path = self.bucket(bucket).join(key);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("the key's folders");
        fs::write(path, content).expect("an object");
    }

    /// Gives a command the server's address and keys, as its environment.
    pub fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        without_credentials(command)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    }
}

/// A command that knows nothing of whoever runs the test.
pub fn without_credentials(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command.env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_PROXY", "127.0.0.1")
}
