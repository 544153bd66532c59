//! An in-process link, and children that the test plays.

use super::*;
use hearth_core::{
    bootstrap::{BlocksBootstrap, ExecutorBootstrap},
    messages::worker::{Address, LiveExecutor},
};
use hearth_worker::{
    machine::Child,
    shell::{ChildSeat, Kill, Launcher, Worker, WorkerError, WorkerHandle},
};
use std::{fs, sync::Arc};

#[derive(Debug)]
struct TestLauncher {
    executors: mpsc::UnboundedSender<(ExecutorBootstrap, ChildSeat)>,
    blocks: mpsc::UnboundedSender<(BlocksBootstrap, ChildSeat)>,
}

impl Launcher for TestLauncher {
    fn start_executor(&self, bootstrap: ExecutorBootstrap, seat: ChildSeat) {
        let _ = self.executors.send((bootstrap, seat));
    }

    fn start_block_service(&self, bootstrap: BlocksBootstrap, seat: ChildSeat) {
        let _ = self.blocks.send((bootstrap, seat));
    }
}

struct Bench {
    dir: tempfile::TempDir,
    worker: WorkerHandle,
    links: mpsc::UnboundedReceiver<MasterLink>,
    executors: mpsc::UnboundedReceiver<(ExecutorBootstrap, ChildSeat)>,
    blocks: mpsc::UnboundedReceiver<(BlocksBootstrap, ChildSeat)>,
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir).unwrap()
    }

    fn start_in(dir: tempfile::TempDir) -> Result<Self, WorkerError> {
        let (dial, links) = TestDial::new();
        let (executor_started, executors) = mpsc::unbounded_channel();
        let (blocks_started, blocks) = mpsc::unbounded_channel();
        let launcher = TestLauncher { executors: executor_started, blocks: blocks_started };
        let worker = Worker::start(options(dir.path()), Arc::new(dial), Arc::new(launcher))?;
        Ok(Self { dir, worker, links, executors, blocks })
    }

    async fn block_service(&mut self) -> (BlocksBootstrap, ChildSeat) {
        soon(self.blocks.recv()).await.unwrap()
    }

    async fn executor(&mut self) -> (ExecutorBootstrap, ChildSeat) {
        soon(self.executors.recv()).await.unwrap()
    }

    async fn link(&mut self) -> MasterLink {
        soon(self.links.recv()).await.unwrap()
    }
}

#[tokio::test]
async fn a_life_from_the_first_start_to_the_end() {
    let mut bench = Bench::start();
    let work = bench.dir.path().join("work").canonicalize().unwrap();
    let (bootstrap, mut blocks) = bench.block_service().await;
    assert_eq!(
        bootstrap,
        BlocksBootstrap { work_dir: work.clone(), roots: vec![work.clone()], host: "127.0.0.1".into(), port: 0 }
    );
    blocks.started(10, 7078).await;

    let mut link = bench.link().await;
    let address = Address { host: "127.0.0.1".into(), port: 7078 };
    let registered = registration(&mut link).await;
    let expected = WorkerRegistration {
        version: hearth_core::messages::VERSION.into(),
        worker: bench.worker.worker_id.clone(),
        address: address.clone(),
        resources: Resources::new(4, 4096),
        labels: Labels::from([("zone".into(), vec!["a".into()])]),
        executors: vec![],
        applications: vec![],
    };
    assert_eq!(registered, expected);

    say(&link, launch(3)).await;
    let (bootstrap, mut seat) = bench.executor().await;
    let expected = ExecutorBootstrap {
        application: app(),
        executor: ExecutorId(3),
        worker: bench.worker.worker_id.clone(),
        host: "127.0.0.1".into(),
        resources: Resources::new(2, 1024),
        driver_url: "http://127.0.0.1:4000".into(),
        block_service: address,
        shuffle_dir: work.join("app-1/shuffle"),
        work_dir: work.join("app-1/3"),
        local_dirs: Vec::new(),
        conf: BTreeMap::from([("spark.app.name".into(), "test".into())]),
    };
    assert_eq!(bootstrap, expected);
    assert!(bootstrap.work_dir.join("tmp").is_dir() && bootstrap.shuffle_dir.is_dir());
    assert_eq!(*seat.child(), Child::Executor(app(), ExecutorId(3)));
    seat.started(11, 0).await;
    assert_eq!(heard(&mut link).await, changed(3, ExecutorState::Running, "", None));

    fs::write(bootstrap.work_dir.join("stderr"), "log").unwrap();
    say(&link, WorkerDown::ApplicationFinished { application: app() }).await;
    assert_eq!(soon(seat.kill_asked()).await, Some(Kill::Soft));
    seat.exited(143, String::new()).await;
    let killed = changed(3, ExecutorState::Killed, "the application is over", Some(143));
    assert_eq!(heard(&mut link).await, killed);

    bench.worker.stop("the test wants it");
    assert_eq!(heard(&mut link).await, WorkerUp::Leaving { reason: "the test wants it".into() });
    assert_eq!(soon(blocks.kill_asked()).await, Some(Kill::Soft));
    blocks.exited(0, String::new()).await;
    assert_eq!(soon(link.incoming.recv()).await, None, "the link is closed");
    drop(link);
    assert_eq!(soon(bench.worker.wait()).await, 0);
    assert_eq!(soon(bench.worker.wait()).await, 0, "it can be asked again");
    assert!(work.join("app-1/3/stderr").exists());
    assert!(!work.join("app-1/3/tmp").exists() && !work.join("app-1/shuffle").exists());
}

#[tokio::test]
async fn a_lost_link_is_replaced_and_the_living_are_listed() {
    let mut bench = Bench::start();
    let (_, mut blocks) = bench.block_service().await;
    blocks.started(10, 7078).await;
    let mut link = bench.link().await;
    registration(&mut link).await;
    say(&link, launch(0)).await;
    let (_, mut seat) = bench.executor().await;
    seat.started(11, 0).await;
    assert_eq!(heard(&mut link).await, changed(0, ExecutorState::Running, "", None));
    drop(link);

    let mut link = bench.link().await;
    let listed = registration(&mut link).await.executors;
    let resources = Resources::new(2, 1024);
    let state = ExecutorState::Running;
    assert_eq!(listed, [LiveExecutor { application: app(), executor: ExecutorId(0), resources, state }]);

    // The block service dies; it comes back on its port, and nobody has to register for that.
    blocks.exited(137, String::new()).await;
    let (bootstrap, mut blocks) = bench.block_service().await;
    assert_eq!(bootstrap.port, 7078);
    blocks.started(12, 7078).await;

    // A seat that is just dropped is an end too.
    drop(seat);
    let failed = "Exited with error status 1; the end of its log:\nwhat watched it is gone";
    assert_eq!(heard(&mut link).await, changed(0, ExecutorState::Failed, failed, Some(1)));
}

#[tokio::test]
async fn a_worker_that_is_dropped_takes_its_children_along() {
    let mut bench = Bench::start();
    let (_, mut blocks) = bench.block_service().await;
    blocks.started(10, 7078).await;
    let mut link = bench.link().await;
    registration(&mut link).await;
    say(&link, launch(0)).await;
    let (_, mut seat) = bench.executor().await;
    drop(bench.worker);
    assert_eq!(soon(seat.kill_asked()).await, None);
    assert_eq!(soon(blocks.kill_asked()).await, None);
    assert_eq!(soon(link.incoming.recv()).await, None);
}

#[tokio::test]
async fn a_block_service_that_cannot_start_ends_the_worker() {
    let mut bench = Bench::start();
    let (_, blocks) = bench.block_service().await;
    blocks.failed("address in use".into()).await;
    assert_eq!(soon(bench.worker.wait()).await, 1);
}

#[tokio::test]
async fn an_executor_whose_directories_cannot_be_made_has_failed() {
    let mut bench = Bench::start();
    let (_, mut blocks) = bench.block_service().await;
    blocks.started(10, 7078).await;
    let mut link = bench.link().await;
    registration(&mut link).await;
    fs::write(bench.dir.path().join("work/app-1"), "in the way").unwrap();
    say(&link, launch(0)).await;
    let WorkerUp::ExecutorChanged { state: ExecutorState::Failed, message, exit_code: None, .. } =
        heard(&mut link).await
    else {
        panic!("it has failed")
    };
    assert!(message.starts_with("its directories cannot be made: "), "{message}");
}

#[tokio::test]
async fn a_restart_keeps_the_id_and_sweeps_what_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start_in(dir).unwrap();
    let id = bench.worker.worker_id.clone();
    let (dial, _links) = TestDial::new();
    let (executors, _) = mpsc::unbounded_channel();
    let (blocks, _) = mpsc::unbounded_channel();
    let taken = Worker::start(options(bench.dir.path()), Arc::new(dial), Arc::new(TestLauncher { executors, blocks }));
    assert!(matches!(taken, Err(WorkerError::WorkDirTaken { .. })), "{taken:?}");

    let (_, blocks) = bench.block_service().await;
    blocks.failed("enough".into()).await;
    soon(bench.worker.wait()).await;
    for left in ["app-9/shuffle", "app-9/4/tmp"] {
        fs::create_dir_all(bench.dir.path().join("work").join(left)).unwrap();
    }
    fs::write(bench.dir.path().join("work/app-9/4/stdout"), "log").unwrap();
    let bench = Bench::start_in(bench.dir).unwrap();
    assert_eq!(bench.worker.worker_id, id);
    let app = bench.dir.path().join("work/app-9");
    assert!(app.join("4/stdout").exists());
    assert!(!app.join("shuffle").exists() && !app.join("4/tmp").exists());
}

#[tokio::test]
async fn directories_of_old_applications_are_removed_while_the_worker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (dial, _links) = TestDial::new();
    let (executors, _executors) = mpsc::unbounded_channel();
    let (blocks, _blocks) = mpsc::unbounded_channel();
    let old = dir.path().join("work/app-9");
    fs::create_dir_all(old.join("4")).unwrap();
    fs::write(old.join("4/stdout"), "log").unwrap();
    let options = WorkerOptions { app_data_ttl: Duration::from_millis(1), ..options(dir.path()) };
    let _worker = Worker::start(options, Arc::new(dial), Arc::new(TestLauncher { executors, blocks })).unwrap();
    // Nobody tells that they are gone; the worker looks every second.
    soon(async {
        while old.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(dir.path().join("work/worker-id").exists());
}
