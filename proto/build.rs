//! Compiles every file in `proto/` without a system `protoc`, so that a fresh machine needs nothing but Cargo.

use std::{error::Error, fs, path::PathBuf};

const ROOT: &str = "proto";
const PACKAGE: &str = "proto/hearth/v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    for entry in fs::read_dir(PACKAGE)? {
        let path: PathBuf = entry?.path();
        if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    // The order of a directory is chance; generated code must not be.
    files.sort();
    let descriptors = protox::compile(&files, [ROOT])?;
    tonic_prost_build::configure()
        // Blocks and payloads are handed on without copying.
        .bytes(".")
        // One order of entries, so that a message has one encoding.
        .btree_map(".")
        // Clients are made from a channel whose options (timeouts, sizes) their callers chose.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
