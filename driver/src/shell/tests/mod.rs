//! The shell with fake executors, in process and by gRPC.

mod fake;
mod grpc;
mod jobs;
mod master;

pub(crate) use fake::{Said, executor, output};

use fake::Registrar;

use super::{DriverHandle, Error, ShellOptions};
use hearth_core::{Determinism, Edge, Exchange, Payload, StageGraph, StageNode};
use std::sync::Arc;

/// A driver without master that listens nowhere.
pub(crate) async fn in_process() -> DriverHandle {
    DriverHandle::start(ShellOptions { port: None, ..ShellOptions::default() }).await.unwrap()
}

/// A driver of this process that a master has named `app-1`.
pub(crate) async fn named() -> DriverHandle {
    let options = ShellOptions { port: None, dial: Some(Arc::new(Registrar)), ..ShellOptions::default() };
    let driver = DriverHandle::start(options).await.unwrap();
    driver.0.application.clone().wait_for(Option::is_some).await.unwrap();
    driver
}

/// A chain of stages with so many tasks each.
pub(crate) fn chain(tasks: &[u32]) -> StageGraph {
    let stage = |(place, tasks): (usize, &u32)| StageNode {
        name: format!("stage {place}"),
        tasks: *tasks,
        slots: 1,
        inputs: place.checked_sub(1).map(|from| Edge { from, exchange: Exchange::Hash }).into_iter().collect(),
        output_partitions: 2,
        payload: Payload::new(format!("payload {place}")),
        determinism: Determinism::Determinate,
    };
    StageGraph { stages: tasks.iter().enumerate().map(stage).collect() }
}

#[tokio::test]
async fn off_loopback_nothing_listens() {
    for host in ["0.0.0.0", "192.168.0.1", "example.org", "::", ""] {
        let options = ShellOptions { host: host.into(), ..ShellOptions::default() };
        let error = DriverHandle::start(options).await.unwrap_err();
        assert!(matches!(error, Error::NotLoopback { .. }), "{host}: {error}");
    }
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_key_that_changes_it() {
    let first = DriverHandle::start(ShellOptions::default()).await.unwrap();
    let port = first.port().unwrap();
    let error = DriverHandle::start(ShellOptions { port: Some(port), ..ShellOptions::default() }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("port {port} on 127.0.0.1 is in use; choose another with spark.driver.port, or 0 for a free one")
    );
    first.stop(hearth_core::ApplicationState::Finished, "done").await;
    // The port is free again.
    let again = DriverHandle::start(ShellOptions { port: Some(port), ..ShellOptions::default() }).await.unwrap();
    again.stop(hearth_core::ApplicationState::Finished, "done").await;
}
