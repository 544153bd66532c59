//! Children that are processes.
//!
//! Their program is `/bin/sh`: asked for `executor` or `blocks`, it runs the script of that name in the directory in which
//! the child is started.

use super::*;
use hearth_core::{
    bootstrap::{BlocksBootstrap, ExecutorBootstrap},
    conf::Conf,
};
use hearth_worker::shell::{ProcessLauncher, ProcessOptions, Worker, WorkerHandle};
use std::{fs, io::Read, process::Command, sync::Arc};
use tokio::sync::oneshot;

const BLOCKS: &str = "read line; echo 'listening on 127.0.0.1:4711'; echo \"$line\"; cat > /dev/null";

/// Starts a worker whose children run these scripts; the first five executors have the same.
fn start(dir: &Path, blocks: &str, executor: &str) -> (WorkerHandle, mpsc::UnboundedReceiver<MasterLink>) {
    let script = |path: &str, text: &str| {
        let path = dir.join("work").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    script("block-service/blocks", blocks);
    (0..5).for_each(|id| script(&format!("app-1/{id}/executor"), executor));
    let launcher = ProcessLauncher::new(ProcessOptions::from_conf("/bin/sh".into(), &Conf::new()));
    let (dial, links) = TestDial::new();
    (Worker::start(options(dir), Arc::new(dial), Arc::new(launcher)).unwrap(), links)
}

#[tokio::test]
async fn children_get_their_bootstrap_and_their_end_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let script = "read line; echo \"$line\"; echo \"$1 $2\"; echo \"$TMPDIR\"; echo broken >&2; exit 3";
    let (mut worker, mut links) = start(dir.path(), BLOCKS, script);
    let mut link = soon(links.recv()).await.unwrap();
    assert_eq!(registration(&mut link).await.address.port, 4711);
    say(&link, launch(4)).await;
    assert_eq!(heard(&mut link).await, changed(4, ExecutorState::Running, "", None));
    let failed = "Exited with error status 3; the end of its log:\nbroken";
    assert_eq!(heard(&mut link).await, changed(4, ExecutorState::Failed, failed, Some(3)));

    let work = dir.path().join("work").canonicalize().unwrap();
    let stdout = fs::read_to_string(work.join("app-1/4/stdout")).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    let bootstrap: ExecutorBootstrap = serde_json::from_str(lines[0]).unwrap();
    assert_eq!((bootstrap.executor, bootstrap.block_service.port), (ExecutorId(4), 4711));
    assert_eq!(lines[1], "app-1 4", "ids for people, and nothing else");
    assert_eq!(lines[2], work.join("app-1/4/tmp").to_str().unwrap());
    assert_eq!(fs::read_to_string(work.join("app-1/4/stderr")).unwrap(), "broken\n");

    worker.stop("done");
    assert_eq!(heard(&mut link).await, WorkerUp::Leaving { reason: "done".into() });
    drop(link);
    assert_eq!(soon(worker.wait()).await, 0);
    let stdout = fs::read_to_string(work.join("block-service/stdout")).unwrap();
    let bootstrap: BlocksBootstrap = serde_json::from_str(stdout.lines().nth(1).unwrap()).unwrap();
    assert_eq!(bootstrap.work_dir, work);
}

#[tokio::test]
async fn a_kill_ends_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let (_worker, mut links) = start(dir.path(), BLOCKS, "cat > /dev/null");
    let mut link = soon(links.recv()).await.unwrap();
    registration(&mut link).await;
    say(&link, launch(0)).await;
    assert_eq!(heard(&mut link).await, changed(0, ExecutorState::Running, "", None));
    let reason = "not wanted";
    say(&link, WorkerDown::KillExecutor { application: app(), executor: ExecutorId(0), reason: reason.into() }).await;
    assert_eq!(heard(&mut link).await, changed(0, ExecutorState::Killed, reason, Some(143)));
}

#[tokio::test]
async fn a_port_in_use_ends_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let (mut worker, _links) = start(dir.path(), "echo 'port 4711 is in use' >&2; exit 1", "");
    assert_eq!(soon(worker.wait()).await, 1);
}

/// A named pipe that children hold open: reading it ends when all of them are dead.
fn until_all_are_dead(fifo: &Path) -> (oneshot::Receiver<()>, oneshot::Receiver<()>) {
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let (up, is_up) = oneshot::channel();
    let (dead, are_dead) = oneshot::channel();
    let fifo = fifo.to_owned();
    std::thread::spawn(move || {
        let mut pipe = fs::File::open(fifo).unwrap();
        let mut both = [0; 2];
        pipe.read_exact(&mut both).unwrap();
        let _ = up.send(());
        assert_eq!(pipe.read(&mut both).unwrap(), 0, "they say no more");
        let _ = dead.send(());
    });
    (is_up, are_dead)
}

#[tokio::test]
async fn no_child_outlives_a_worker_that_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let (up, dead) = until_all_are_dead(&fifo);
    // They neither heed a signal nor look at their lifeline, and have a child of their own.
    let script = |ready: &str| {
        format!("trap '' TERM; exec 3> {}; {ready} printf x >&3; sleep 1000 & wait; sleep 1000", fifo.display())
    };
    let (worker, mut links) = start(dir.path(), &script("echo 'listening on 127.0.0.1:1';"), &script(""));
    let mut link = soon(links.recv()).await.unwrap();
    registration(&mut link).await;
    say(&link, launch(0)).await;
    soon(up).await.unwrap();
    drop(worker);
    soon(dead).await.unwrap();
}
