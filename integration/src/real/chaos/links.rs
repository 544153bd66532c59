//! Links that stall, break and lie.

use super::{
    super::{
        TestCluster, eventually,
        proxy::{Did, Flow, Proxy, Way},
        signal,
    },
    executors::REMOTE,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    thread,
    time::Duration,
};

/// Timeouts of a few seconds instead of minutes.
const SHORT: [&str; 8] = [
    "--conf",
    "spark.network.timeout=3s",
    "--conf",
    "spark.executor.heartbeatInterval=500ms",
    "--conf",
    "hearth.executor.driverTimeout=2s",
    "--conf",
    "hearth.executor.silenceTimeout=4s",
];

/// Where executors find the driver; it listens on another address of loopback.
const DRIVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The same for a block service.
const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A wire between the executors and the driver that is yet to start, and what to tell the driver.
fn driver_wire() -> (Proxy, [String; 6]) {
    let proxy = Proxy::start(DRIVER, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let conf = [
        format!("spark.driver.host={DRIVER}"),
        format!("spark.driver.port={}", proxy.address().port()),
        format!("spark.driver.bindAddress={}", Ipv4Addr::LOCALHOST),
    ];
    let [host, port, bind] = conf;
    let flag = || "--conf".to_owned();
    (proxy, [flag(), host, flag(), port, flag(), bind])
}

/// A13: an executor stops in the middle of its commit, for longer than its driver waits, and goes on when the driver has given
/// it up. The master, which would have it ended, is away.
pub(super) fn executor_stopped(trial: &mut Trial) {
    trial.failpoints("output.commit[output~shuffle_2_]=stop*1");
    trial.slowly("task.start[stage=4]=sleep(2000)");
    let mut cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &SHORT);
    if trial.is_faulty() {
        let stopped =
            eventually("an executor has stopped", || trial.fired().into_iter().find(|f| f.get("deed") == "Stop"));
        cluster.kill_master();
        eventually("the driver gives it up", || {
            assert!(!query.is_over(), "{}", query.log());
            query.log().contains("is given up: silent for 3 s").then_some(())
        });
        signal(stopped.pid(), Signal::CONT);
        let log = Path::new(stopped.get("dir")).join("stderr");
        eventually("it leaves by itself", || {
            assert!(!query.is_over(), "{}", query.log());
            let text = fs::read_to_string(&log).unwrap_or_default();
            text.contains("the driver refused").then_some(())
        });
    }
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=1);
    trial.lost(1);
    trial.only_lost_ran_again();
    if trial.is_faulty() {
        cluster.start_master_again();
    }
    trial.nothing_is_left(&cluster);
}

/// A14: what executors say does not arrive.
pub(super) fn driver_deaf(trial: &mut Trial) {
    driver_parted(trial, &[Way::ToServer]);
}

/// A14: what the driver says does not arrive.
pub(super) fn driver_mute(trial: &mut Trial) {
    driver_parted(trial, &[Way::ToClient]);
}

/// A14: nothing arrives.
pub(super) fn driver_away(trial: &mut Trial) {
    driver_parted(trial, &[Way::ToServer, Way::ToClient]);
}

/// For twice as long as anybody waits. Whoever was given up comes back and is refused, others take over.
fn driver_parted(trial: &mut Trial, ways: &[Way]) {
    trial.slowly("task.start[stage=3,stage_attempt=0,attempt=0]=sleep(500)");
    let (proxy, conf) = driver_wire();
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[&SHORT[..], &conf.each_ref().map(String::as_str)].concat());
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        assert!(!query.is_over(), "{}", query.log());
        ways.iter().for_each(|way| proxy.set(*way, Flow::Hold));
        eventually("executors are given up, or leave", || {
            assert!(!query.is_over(), "{}", query.log());
            let log = query.log();
            (log.contains("is given up") || log.contains("did not come back") || log.contains("EXITED")).then_some(())
        });
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.held);
    trial.counted();
    trial.nothing_is_left(&cluster);
}

/// Blocks of the first worker pass this wire.
fn blocks_wire(trial: &mut Trial) -> (Proxy, TestCluster) {
    let proxy = Proxy::start(SERVICE, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let args = ["--host", &SERVICE.to_string(), "--bind", "127.0.0.1", "--port", &proxy.address().port().to_string()];
    trial.options().workers = vec![args.map(str::to_owned).to_vec()];
    let cluster = trial.cluster(&[1, 1]);
    (proxy, cluster)
}

/// A14: executors do not hear from the other machine's block service, and then do again.
pub(super) fn peers_parted(trial: &mut Trial) {
    trial.slowly("task.start[stage=3,stage_attempt=0,attempt=0]=sleep(300)");
    let (proxy, cluster) = blocks_wire(trial);
    let mut query = trial.start(&cluster, &[&SHORT[..], &REMOTE].concat());
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        proxy.set(Way::ToClient, Flow::Hold);
        eventually("an answer is held back", || {
            assert!(!query.is_over(), "{}", query.log());
            (proxy.did().held > 0).then_some(())
        });
        // Longer than `spark.network.timeout`, so that requests break.
        thread::sleep(Duration::from_secs(4));
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.held);
    trial.few_attempts(4);
    trial.counted();
    trial.nothing_is_left(&cluster);
}

/// A15: the links to the driver break again and again. Nobody is given up for it.
pub(super) fn flapping(trial: &mut Trial) {
    trial.slowly("task.start=sleep(100)");
    let (proxy, conf) = driver_wire();
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &conf.each_ref().map(String::as_str));
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        for _ in 0..5 {
            assert!(!query.is_over(), "{}", query.log());
            proxy.cut();
            proxy.set_both(Flow::Delay(Duration::from_millis(20)));
            proxy.refuse(true);
            thread::sleep(Duration::from_millis(200));
            proxy.refuse(false);
            thread::sleep(Duration::from_millis(150));
        }
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.cut);
    trial.counted();
    assert!(!query.log().contains("given up"), "{}", query.log());
    trial.nothing_is_left(&cluster);
}

/// A15: blocks come over a wire that breaks every so many bytes, half closes, and drips.
pub(super) fn lossy(trial: &mut Trial) {
    let (proxy, cluster) = blocks_wire(trial);
    if trial.is_faulty() {
        proxy.set(Way::ToClient, Flow::CutAfter(150_000));
        proxy.times(2);
    }
    let mut query = trial.start(&cluster, &REMOTE);
    if trial.is_faulty() {
        eventually("the wire broke twice", || (proxy.did().cut >= 2 || query.is_over()).then_some(()));
        proxy.set(Way::ToServer, Flow::HalfCloseAfter(0));
        proxy.set(Way::ToClient, Flow::Drip(4096));
        proxy.times(1);
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |Did { cut, .. }| cut);
    trial.few_attempts(4);
    trial.counted();
    trial.nothing_is_left(&cluster);
}

/// A21: news come twice, late and out of order, and so do orders.
pub(super) fn unordered_news(trial: &mut Trial) {
    trial.failpoints("seed=21; executor.say=duplicate*30%40; executor.say=delay(40)*10%20; driver.say=duplicate*20%40");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    trial.ends_right(&mut query);
    trial.must_have_fired(1..=60);
    trial.nothing_is_left(&cluster);
}
