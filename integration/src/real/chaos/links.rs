//! Links to the driver that stall, break and lie.

use super::{
    super::{
        eventually,
        proxy::{Flow, Proxy, Way},
        signal,
    },
    ledger,
    trial::Trial,
};
use rustix::process::Signal;
use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Timeouts of a few seconds instead of minutes.
pub(super) const SHORT: [&str; 6] = [
    "--conf",
    "spark.network.timeout=3s",
    "--conf",
    "spark.executor.heartbeatInterval=500ms",
    "--conf",
    "hearth.executor.driverTimeout=2s",
];

/// Where executors find the driver; it listens on another address of loopback.
const DRIVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long the longest cut lasts: below the 10 s under which nobody may be given up.
const LONG_CUT: Duration = Duration::from_secs(9);
/// And how long the short ones do.
const SHORT_CUT: Duration = Duration::from_millis(200);

/// A wire between the executors and the driver that is yet to start, and what to tell the driver.
pub(super) fn driver_wire() -> (Proxy, [String; 6]) {
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

/// Milliseconds since the epoch, as processes write them down.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after its epoch");
    u64::try_from(now.as_millis()).expect("milliseconds of some centuries")
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
    let stops = trial.must_have_fired(1..=1);
    let fired = trial.fired();
    // What it had ended before stays.
    trial.only_lost_ran_again(|attempt| {
        let stop = stops.iter().find(|stop| stop.pid() == attempt.pid());
        stop.is_some_and(|stop| !ledger::heard_before(&fired, stop.at()).contains(attempt.get("task")))
    });
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
    let mut parted = u64::MAX;
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        assert!(!query.is_over(), "{}", query.log());
        parted = now();
        ways.iter().for_each(|way| proxy.set(*way, Flow::Hold));
        eventually("executors are given up, or leave", || {
            assert!(!query.is_over(), "{}", query.log());
            (!given_up(&query.log()).is_empty()).then_some(())
        });
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.held);
    // What had ended before the wire was parted was heard of, and stays.
    let (lost, heard) = (given_up(&query.log()), ledger::heard_before(&trial.fired(), parted));
    trial.only_lost_ran_again(|attempt| {
        attempt.executor().is_some_and(|executor| lost.contains(&executor)) && !heard.contains(attempt.get("task"))
    });
    trial.nothing_is_left(&cluster);
}

/// The executors that the driver took tasks from or gave up, or that left it, by its log.
fn given_up(log: &str) -> BTreeSet<u32> {
    const ENDS: [&str; 5] = [" is given up", " did not come back", " leaves", " is EXITED", " is FAILED"];
    let one = |line: &str| {
        let (_, said) = line.split_once("executor ")?;
        let (id, what) = said.split_at(said.find(' ')?);
        ENDS.iter().any(|end| what.starts_with(end)).then(|| id.parse().ok())?
    };
    log.lines().filter_map(one).collect()
}

/// A15: the links to the driver break again and again, and once for nearly as long as anybody waits. Nobody is given up for it.
pub(super) fn flapping(trial: &mut Trial) {
    trial.slowly("task.start=sleep(700)");
    let (proxy, conf) = driver_wire();
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &conf.each_ref().map(String::as_str));
    let mut cuts = Vec::new();
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        for length in [SHORT_CUT, SHORT_CUT, SHORT_CUT, SHORT_CUT, SHORT_CUT, LONG_CUT] {
            assert!(!query.is_over(), "{}", query.log());
            let (before, registered) = (proxy.did(), registrations(trial));
            proxy.refuse(true);
            cuts.push(now());
            proxy.cut();
            assert!(proxy.did().cut >= before.cut + 2, "both links are cut");
            proxy.set_both(Flow::Delay(Duration::from_millis(20)));
            // The length is the fault.
            thread::sleep(length);
            proxy.refuse(false);
            eventually("both executors are back", || (registrations(trial) >= registered + 2).then_some(()));
            assert!(proxy.did().connections >= before.connections + 2, "{:?}", proxy.did());
        }
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.cut);
    let log = query.log();
    for end in ["is given up", "is EXITED", "is FAILED", "leaves"] {
        assert!(!log.contains(end), "{end:?} in {log}");
    }
    let fired = trial.fired();
    let pids: BTreeSet<_> = ledger::notes(&fired, "task.start").map(super::Fired::pid).collect();
    assert_eq!(pids.len(), 2, "nobody took the place of an executor");
    // News of a task that ends while its executor is away are lost, and after 2 s so is what it runs; it lives.
    let under_way: BTreeSet<_> = cuts.iter().flat_map(|cut| ledger::under_way(&fired, *cut)).collect();
    trial.only_lost_ran_again(|attempt| under_way.contains(attempt.get("task")));
    trial.nothing_is_left(&cluster);
}

/// How often executors were taken by the driver, by their logs.
fn registrations(trial: &Trial) -> usize {
    trial.executors_said().matches("registered with the driver").count()
}

/// A21: news and orders come twice, news come late and out of order. None of it has an effect.
pub(super) fn unordered_news(trial: &mut Trial) {
    trial.failpoints("seed=21; executor.say=duplicate*30%40; executor.say=delay(40)*10%20; driver.say=duplicate*20%40");
    let cluster = trial.cluster(&[1, 1]);
    let mut query = trial.start(&cluster, &[]);
    trial.ends_right(&mut query);
    let fired = trial.must_have_fired(3..=60);
    if trial.is_faulty() {
        for (point, deed) in [("executor.say", "Duplicate"), ("executor.say", "Delay"), ("driver.say", "Duplicate")] {
            let has = fired.iter().any(|f| f.get("point") == point && f.get("deed").starts_with(deed));
            assert!(has, "{deed} at {point} did not happen: {fired:?}");
        }
    }
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_given_up_is_read_from_the_log() {
        let log = "WARN executor 3 is given up: silent\nINFO executor 12 is EXITED (exit code 1): x\n\
                   INFO executor 4 at 127.0.0.1 is here\nWARN executor 5 did not come back; its tasks";
        assert_eq!(given_up(log), BTreeSet::from([3, 5, 12]));
    }
}
