//! Wires of blocks that stall, break, lose, slow and damage.

use super::{
    super::{
        Daemon, TestCluster, eventually,
        proxy::{Did, Flow, Proxy, Way},
    },
    executors::REMOTE,
    links::SHORT,
    services::unreachable,
    trial::Trial,
};
use std::net::{Ipv4Addr, SocketAddr};

/// Where the others find the first worker's block service; it listens on another address of loopback.
const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// What the reader of a damaged block says.
pub(super) const DAMAGED: &str = "damaged on the wire";

/// Blocks of the first worker pass this wire.
fn blocks_wire(trial: &mut Trial) -> (Proxy, TestCluster) {
    let proxy = Proxy::start(SERVICE, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let args = ["--host", &SERVICE.to_string(), "--bind", "127.0.0.1", "--port", &proxy.address().port().to_string()];
    trial.options().workers = vec![args.map(str::to_owned).to_vec()];
    let cluster = trial.cluster(&[1, 1]);
    (proxy, cluster)
}

/// Waits until the wire has done something to a query that runs.
fn await_deed(wire: &Proxy, query: &mut Daemon, what: &str, is_done: impl Fn(Did) -> bool) {
    eventually(what, || {
        let did = wire.did();
        assert!(is_done(did) || !query.is_over(), "the query was over before this: {what}; {did:?}");
        is_done(did).then_some(())
    });
}

/// A14: executors do not hear from the other machine's block service, and then do again.
pub(super) fn peers_parted(trial: &mut Trial) {
    trial.slowly("task.start[stage=3,stage_attempt=0,attempt=0]=sleep(300)");
    let (proxy, cluster) = blocks_wire(trial);
    let mut query = trial.start(&cluster, &[&SHORT[..], &REMOTE].concat());
    if trial.is_faulty() {
        trial.await_busy(&cluster, 2);
        proxy.set(Way::ToClient, Flow::Hold);
        await_deed(&proxy, &mut query, "an answer is held back", |did| did.held > 0);
        // After `spark.network.timeout`.
        eventually("a request breaks", || {
            assert!(!query.is_over(), "{}", query.log());
            trial.executors_said().contains("a request for blocks broke").then_some(())
        });
        proxy.heal();
    }
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.held);
    let condemned = unreachable(&cluster, &query);
    trial.only_lost_ran_again(|attempt| attempt.worker().is_some_and(|worker| condemned.contains(&worker)));
    trial.few_attempts(2);
    trial.nothing_is_left(&cluster);
}

/// A15: blocks come over a wire that breaks every so many bytes, half closes, loses what passes, and drips. Readers ask again,
/// and no task does.
pub(super) fn lossy(trial: &mut Trial) {
    // So that there is still something to read when the last fault comes.
    trial.slowly("fetch.chunk=sleep(50)");
    let (proxy, cluster) = blocks_wire(trial);
    if trial.is_faulty() {
        proxy.set(Way::ToClient, Flow::CutAfter(150_000));
        proxy.times(2);
    }
    let patient = ["--conf", "spark.shuffle.io.maxRetries=10"];
    let mut query = trial.start(&cluster, &[&SHORT[..], &REMOTE, &patient].concat());
    if trial.is_faulty() {
        await_deed(&proxy, &mut query, "the wire breaks twice", |did| did.cut >= 2);
        proxy.set(Way::ToClient, Flow::Pass);
        proxy.set(Way::ToServer, Flow::HalfCloseAfter(0));
        proxy.times(1);
        await_deed(&proxy, &mut query, "the wire half closes", |did| did.half_closed == 1);
        proxy.set_both(Flow::Lose);
        await_deed(&proxy, &mut query, "the wire loses what passes", |did| did.lost > 0);
        proxy.heal();
        proxy.set(Way::ToClient, Flow::Drip(4096));
        await_deed(&proxy, &mut query, "the wire drips", |did| did.slowed > 0);
    }
    trial.ends_right(&mut query);
    let did = proxy.did();
    if trial.is_faulty() {
        assert!(did.cut >= 2 && did.half_closed == 1 && did.lost > 0 && did.slowed > 0, "{did:?}");
    }
    trial.happened_on(&proxy, |did| did.cut + did.half_closed);
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}

/// A27: a bit flips between two machines, in whatever stands there. Nobody decodes it: what it was in is asked for again, and
/// nothing else happens.
pub(super) fn damaged(trial: &mut Trial) {
    let (proxy, cluster) = blocks_wire(trial);
    if trial.is_faulty() {
        proxy.set(Way::ToClient, Flow::FlipAfter(200_000));
        proxy.times(1);
    }
    let mut query = trial.start(&cluster, &REMOTE);
    trial.ends_right(&mut query);
    trial.happened_on(&proxy, |did| did.flipped);
    if trial.is_faulty() {
        assert_eq!(proxy.did().flipped, 1);
        // The bit may be of a frame or a message rather than of a block: then its connection breaks.
        let said = trial.executors_said();
        assert!(said.contains(DAMAGED) || said.contains("a request for blocks broke"), "no diagnosis: {said}");
    }
    trial.only_lost_ran_again(|_| false);
    trial.few_attempts(1);
    trial.nothing_is_left(&cluster);
}
