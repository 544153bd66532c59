//! The body of the block service's process.

use super::*;
use hearth_blocks::{run_block_service, server::ServeError};
use hearth_core::bootstrap::BlocksBootstrap;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter};
use tokio::task::JoinHandle;

fn bootstrap(worker: &Worker, host: &str, port: u16) -> BlocksBootstrap {
    BlocksBootstrap {
        work_dir: worker.dir.path().into(),
        roots: vec![worker.dir.path().into()],
        host: host.into(),
        port,
    }
}

/// A running service: its address, its lifeline, and how it ends.
fn start(worker: &Worker) -> (SocketAddr, PipeWriter, JoinHandle<Result<(), ServeError>>) {
    let (lifeline, hold) = io::pipe().unwrap();
    let (output, announce): (PipeReader, PipeWriter) = io::pipe().unwrap();
    let service = tokio::spawn(run_block_service(bootstrap(worker, "127.0.0.1", 0), announce, lifeline));
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").unwrap().trim_end().parse().unwrap();
    (address, hold, service)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_service_ends_with_its_lifeline_and_with_sigterm() {
    let worker = Worker::new();
    let id = worker.output(0, &[noise(1, 1000)]);
    for by_signal in [false, true] {
        let (address, lifeline, service) = start(&worker);
        let fetcher = Fetcher::new(remote());
        let wanted = vec![worker.wanted(Some(address), id.block(0), 1000)];
        assert_eq!(fetch_all(&fetcher, wanted).await.unwrap(), [noise(1, 1000)]);
        assert!(!service.is_finished());
        let held = if by_signal {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
            Some(lifeline)
        } else {
            drop(lifeline);
            None
        };
        // The fetcher's connection is still open: it does not hold the service up.
        tokio::time::timeout(HANGS, service).await.expect("the service ends").unwrap().unwrap();
        drop(held);
    }
}

#[tokio::test]
async fn a_block_service_that_cannot_listen_says_which_flag_helps() {
    let worker = Worker::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = |host: &str, port| run_block_service(bootstrap(&worker, host, port), io::sink(), io::empty());
    let e = run("127.0.0.1", port).await.unwrap_err().to_string();
    assert!(e.starts_with(&format!("cannot listen on 127.0.0.1:{port}: Address already in use")), "{e}");
    assert!(e.ends_with("; give the worker another --port"), "{e}");
    let e = run("0.0.0.0", 0).await.unwrap_err();
    assert!(matches!(e, ServeError::NotLoopback(_)), "{e}");
    let e = run("no such host", 0).await.unwrap_err();
    assert!(matches!(e, ServeError::Resolve { .. }), "{e}");
}
