//! Every message out and back; everything else refused, by name, and never with a panic.

use super::{
    MAX_MESSAGE, Malformed,
    check::{MAX_BATCH, MAX_QUANTITY, MAX_TEXT},
    checked_payload, outgoing, refusal_of, samples, status,
};
use crate::{
    Payload, PayloadHash, Refusal, ShuffleId, TaskId,
    messages::{
        application::{AppDown, AppUp},
        task::{
            MapStatuses, ResultBlock, TaskDown, TaskFailure, TaskInput, TaskMetrics, TaskNews, TaskOutput, TaskStatus,
            TaskUp,
        },
        worker::{Address, WorkerDown, WorkerUp},
    },
};
use hearth_proto::v1::{self, app_up, refusal, task_down, task_launch, task_status, task_up, worker_down, worker_up};
use prost::Message;
use std::fmt::Debug;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

/// Sends each sample over the wire, and then as bytes that a bad peer might send.
fn exchange<T, P>(samples: Vec<T>)
where
    T: Clone + Debug + PartialEq + TryFrom<P, Error = Malformed>,
    P: Message + Default + From<T>,
{
    for (i, sample) in samples.into_iter().enumerate() {
        let bytes = P::from(sample.clone()).encode_to_vec();
        let back = T::try_from(P::decode(&bytes[..]).unwrap());
        assert_eq!(back, Ok(sample));
        torture::<T, P>(&bytes, i as u64);
    }
}

/// Changes an encoding in many ways and reads each. The outcome does not matter, only that there is one.
fn torture<T: TryFrom<P, Error = Malformed>, P: Message + Default>(bytes: &[u8], seed: u64) {
    let read = |bytes: &[u8]| {
        if let Ok(message) = P::decode(bytes) {
            let _ = T::try_from(message);
        }
    };
    for cut in 0..bytes.len() {
        read(&bytes[..cut]);
    }
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..500 {
        let mut bytes = bytes.to_vec();
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len().max(1));
            match chance.below(3) {
                0 if at < bytes.len() => bytes[at] = chance.next() as u8,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at.min(bytes.len()), chance.next() as u8),
            }
        }
        read(&bytes);
    }
    let garbage: Vec<u8> = (0..64).map(|_| chance.next() as u8).collect();
    read(&garbage);
}

/// Marsaglia's xorshift: chance that is the same in every run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[test]
fn every_message_comes_back_as_it_went() {
    exchange::<Refusal, v1::Refusal>(samples::refusals());
    exchange::<WorkerUp, v1::WorkerUp>(samples::worker_ups());
    exchange::<WorkerDown, v1::WorkerDown>(samples::worker_downs());
    exchange::<AppUp, v1::AppUp>(samples::app_ups());
    exchange::<AppDown, v1::AppDown>(samples::app_downs());
    exchange::<TaskUp, v1::TaskUp>(samples::task_ups());
    exchange::<TaskDown, v1::TaskDown>(samples::task_downs());
    exchange::<MapStatuses, v1::GetMapStatusesResponse>(samples::map_statuses());
    exchange::<PayloadHash, v1::GetPayloadRequest>(vec![PayloadHash([9; 32])]);
    let input = TaskInput { shuffle: ShuffleId(4), epoch: 5 };
    assert_eq!(TaskInput::from(v1::GetMapStatusesRequest::from(input)), input);
}

#[test]
fn refusals_travel_in_statuses() {
    for refusal in samples::refusals() {
        let status = status(&refusal);
        assert_eq!(status.message(), refusal.to_string());
        assert_ne!(status.code(), tonic::Code::Ok);
        assert_eq!(refusal_of(&status), Some(refusal));
    }
    assert_eq!(refusal_of(&tonic::Status::unavailable("connection refused")), None);
    let foreign = tonic::Status::with_details(tonic::Code::Internal, "x", vec![0xff; 9].into());
    assert_eq!(refusal_of(&foreign), None);
}

#[test]
fn a_status_fits_into_a_header() {
    let long = "\u{1f525}".repeat(100_000);
    let status = status(&Refusal::VersionMismatch { theirs: long.clone(), ours: long });
    // Escaping takes three bytes for one in the message, base64 four for three in the details.
    assert!(status.message().len() * 3 + status.details().len() * 4 / 3 < 16 << 10);
    assert!(matches!(refusal_of(&status), Some(Refusal::VersionMismatch { .. })));
}

#[test]
fn a_long_text_is_cut_and_does_not_cost_the_link() {
    let long = "\u{1f525}".repeat(MAX_TEXT);
    let news = TaskNews::Failed(TaskFailure::Query(long));
    let sent = v1::TaskUp::from(TaskUp::Statuses(vec![TaskStatus { task: TaskId(1), news }]));
    let Ok(TaskUp::Statuses(statuses)) = TaskUp::try_from(sent) else { panic!("the text is taken") };
    let TaskNews::Failed(TaskFailure::Query(text)) = &statuses[0].news else { panic!("{statuses:?}") };
    assert!(text.len() <= MAX_TEXT && text.ends_with("(cut)") && text.starts_with('\u{1f525}'));
}

#[tokio::test]
async fn a_batch_that_is_too_large_goes_in_parts() {
    let inline = |task| TaskStatus {
        task: TaskId(task),
        news: TaskNews::Succeeded(
            TaskOutput::Result(ResultBlock::Inline(vec![7; 1 << 20].into())),
            TaskMetrics { rows: task, ..TaskMetrics::default() },
        ),
    };
    let started = |task| TaskStatus { task: TaskId(task), news: TaskNews::Started };
    for batch in [(0..40).map(inline).collect::<Vec<_>>(), (0..150_000).map(started).collect()] {
        let (sender, queue) = mpsc::channel(1);
        sender.send(TaskUp::Statuses(batch.clone())).await.unwrap();
        drop(sender);
        let parts: Vec<v1::TaskUp> = outgoing(queue).collect().await;
        assert!(parts.len() >= 3 && parts.iter().all(|part| part.encoded_len() <= MAX_MESSAGE), "{}", parts.len());
        let mut arrived = Vec::new();
        for part in parts {
            let Ok(TaskUp::Statuses(statuses)) = TaskUp::try_from(part) else { panic!("a part is a batch") };
            arrived.extend(statuses);
        }
        assert!(arrived == batch, "every status arrives once, in order");
    }
}

#[test]
fn a_payload_is_the_one_that_was_asked_for() {
    let payload = Payload::new(&b"plan"[..]);
    let answer = v1::GetPayloadResponse::from(payload.clone());
    assert_eq!(checked_payload(payload.hash(), answer.clone()), Ok(payload));
    let error = checked_payload(PayloadHash([0; 32]), answer).unwrap_err().to_string();
    assert!(error.starts_with("GetPayloadResponse.payload is"), "{error}");
}

#[test]
fn the_map_statuses_of_a_large_shuffle_fit_into_a_message() {
    let mut statuses = samples::map_statuses().remove(0);
    let one = statuses.statuses.remove(0);
    // Blocks of some MiB: four bytes a size.
    let sizes = vec![8 << 20; 2000];
    statuses.statuses = (0..1900)
        .map(|partition| {
            let mut s = one.clone();
            s.partition = partition;
            s.sizes.clone_from(&sizes);
            s
        })
        .collect();
    let wire = v1::GetMapStatusesResponse::from(statuses.clone());
    assert!(wire.encoded_len() <= MAX_MESSAGE, "{}", wire.encoded_len());
    assert_eq!(MapStatuses::try_from(wire), Ok(statuses));
}

/// The first sample of a kind, on the wire, after a change.
fn changed<T, P: From<T>>(samples: Vec<T>, is: impl Fn(&T) -> bool, change: impl FnOnce(&mut P)) -> P {
    let mut wire = P::from(samples.into_iter().find(|s| is(s)).expect("there is one"));
    change(&mut wire);
    wire
}

fn registration(change: impl FnOnce(&mut worker_up::Register)) -> Result<WorkerUp, Malformed> {
    changed::<_, v1::WorkerUp>(
        samples::worker_ups(),
        |s| matches!(s, WorkerUp::Register(_)),
        |up| {
            let Some(worker_up::Message::Register(register)) = &mut up.message else { panic!("{up:?}") };
            change(register);
        },
    )
    .try_into()
}

fn spec(change: impl FnOnce(&mut v1::ApplicationSpec)) -> Result<AppUp, Malformed> {
    changed::<_, v1::AppUp>(
        samples::app_ups(),
        |s| matches!(s, AppUp::Register(_)),
        |up| {
            let Some(app_up::Message::Register(spec)) = &mut up.message else { panic!("{up:?}") };
            change(spec);
        },
    )
    .try_into()
}

fn launch(change: impl FnOnce(&mut v1::TaskLaunch)) -> Result<TaskDown, Malformed> {
    changed::<_, v1::TaskDown>(
        samples::task_downs(),
        |s| matches!(s, TaskDown::Launch(_)),
        |down| {
            let Some(task_down::Message::Launch(launch)) = &mut down.message else { panic!("{down:?}") };
            change(&mut launch.tasks[0]);
        },
    )
    .try_into()
}

/// Changes the location of the first map output in a batch of statuses, or that output.
fn map_output(change: impl FnOnce(&mut v1::MapStatus)) -> Result<TaskUp, Malformed> {
    changed::<_, v1::TaskUp>(
        samples::task_ups(),
        |s| matches!(s, TaskUp::Statuses(_)),
        |up| {
            let Some(task_up::Message::Statuses(batch)) = &mut up.message else { panic!("{up:?}") };
            let map = batch.statuses.iter_mut().find_map(|s| match &mut s.news {
                Some(task_status::News::Succeeded(done)) => match &mut done.output {
                    Some(task_status::succeeded::Output::Map(map)) => Some(map),
                    _ => None,
                },
                _ => None,
            });
            change(map.expect("there is one"));
        },
    )
    .try_into()
}

fn refused<T: Debug>(result: Result<T, Malformed>, says: &str) {
    let error = result.expect_err(says).to_string();
    assert!(error.starts_with(says), "{error:?} should begin with {says:?}");
}

#[test]
fn what_is_required_must_be_there() {
    refused(WorkerUp::try_from(v1::WorkerUp::default()), "WorkerUp.message is missing");
    refused(WorkerDown::try_from(v1::WorkerDown::default()), "WorkerDown.message is missing");
    refused(AppUp::try_from(v1::AppUp::default()), "AppUp.message is missing");
    refused(AppDown::try_from(v1::AppDown::default()), "AppDown.message is missing");
    refused(TaskUp::try_from(v1::TaskUp::default()), "TaskUp.message is missing");
    refused(TaskDown::try_from(v1::TaskDown::default()), "TaskDown.message is missing");
    refused(Refusal::try_from(v1::Refusal::default()), "Refusal.reason is missing");
    refused(TaskStatus::try_from(v1::TaskStatus::default()), "TaskStatus.news is missing");
    refused(TaskFailure::try_from(v1::TaskFailure::default()), "TaskFailure.failure is missing");
    refused(registration(|r| r.address = None), "WorkerUp.Register.address is missing");
    refused(registration(|r| r.resources = None), "WorkerUp.Register.resources is missing");
    refused(launch(|t| t.target = None), "TaskLaunch.target is missing");
    refused(map_output(|m| m.location = None), "MapStatus.location is missing");
    refused(map_output(|m| m.location.as_mut().unwrap().address = None), "BlockLocation.address is missing");
    let down = app_up::Message::Reconnect(app_up::Reconnect { application: "app-1".into(), ..Default::default() });
    refused(AppUp::try_from(v1::AppUp { message: Some(down) }), "AppUp.Reconnect.spec is missing");
}

#[test]
fn unspecified_and_unknown_states_are_refused() {
    for state in [0, 99, -1] {
        let changed = worker_up::ExecutorChanged { application: "app-1".into(), state, ..Default::default() };
        let up = v1::WorkerUp { message: Some(worker_up::Message::ExecutorChanged(changed)) };
        refused(WorkerUp::try_from(up), &format!("WorkerUp.ExecutorChanged.state is {state}; expected one of"));
        refused(registration(|r| r.executors[0].state = state), "WorkerUp.LiveExecutor.state is");
        let unregister = app_up::Unregister { state, message: String::new() };
        let up = v1::AppUp { message: Some(app_up::Message::Unregister(unregister)) };
        refused(AppUp::try_from(up), "AppUp.Unregister.state is");
    }
    // Known, and yet not what may stand there.
    let exited = v1::ExecutorState::Exited.into();
    refused(registration(|r| r.executors[0].state = exited), "WorkerUp.LiveExecutor.state is Exited");
    let unregister = app_up::Unregister { state: v1::ApplicationState::Running.into(), message: String::new() };
    let up = v1::AppUp { message: Some(app_up::Message::Unregister(unregister)) };
    refused(AppUp::try_from(up), "AppUp.Unregister.state is Running");
}

#[test]
fn ids_hosts_paths_and_urls_are_parsed() {
    refused(registration(|r| r.worker = "../w".into()), "WorkerUp.Register.worker: \"../w\" is not a valid worker id");
    refused(registration(|r| r.executors[0].application = "".into()), "WorkerUp.LiveExecutor.application: ");
    for host in ["", "a/b", "a b", "\0", &"x".repeat(256)] {
        refused(registration(|r| r.address.as_mut().unwrap().host = host.into()), "Address.host is");
    }
    refused(registration(|r| r.address.as_mut().unwrap().port = 65_536), "Address.port is 65536");
    for url in ["", "http://", "http://a", "http://a:0", "https://a:1", "http://a:1/x", "a:1"] {
        refused(spec(|s| s.driver_url = url.into()), "ApplicationSpec.driver_url is");
    }
    for directory in ["", "work", "/work/../etc", "/work/..", "/a\0b", &format!("/{}", "x".repeat(4096))] {
        refused(
            map_output(|m| m.location.as_mut().unwrap().directory = directory.into()),
            "BlockLocation.directory is",
        );
    }
    for length in [0, 31, 33] {
        let hash = vec![1; length];
        refused(launch(|t| t.payload = hash.into()), &format!("TaskLaunch.payload has {length} bytes"));
    }
    let unknown = refusal::Reason::UnknownApplication(refusal::UnknownApplication { application: "/".into() });
    refused(Refusal::try_from(v1::Refusal { reason: Some(unknown) }), "Refusal.UnknownApplication.application: ");
    let address = Address::try_from(v1::Address { host: "a".into(), port: 0 });
    assert_eq!(address, Ok(Address { host: "a".into(), port: 0 }));
}

#[test]
fn numbers_lengths_and_counts_are_bounded() {
    let long = || "x".repeat(MAX_TEXT + 1);
    refused(registration(|r| r.version = long()), "WorkerUp.Register.version is 65537 bytes long");
    refused(registration(|r| r.resources.as_mut().unwrap().cores = 0), "Resources.cores is 0");
    refused(registration(|r| r.resources.as_mut().unwrap().cores = u32::MAX), "Resources.cores is 4294967295");
    refused(registration(|r| r.resources.as_mut().unwrap().memory_mib = 0), "Resources.memory_mib is 0");
    refused(registration(|r| r.resources.as_mut().unwrap().memory_mib = u64::MAX), "Resources.memory_mib is");
    refused(
        registration(|r| r.executors = vec![Default::default(); MAX_BATCH + 1]),
        "WorkerUp.Register.executors has 65537 entries",
    );
    refused(
        registration(|r| r.applications = vec![String::new(); MAX_BATCH + 1]),
        "WorkerUp.Register.applications has 65537 entries",
    );
    refused(registration(|r| r.applications = vec!["../x".into()]), "WorkerUp.Register.applications: ");
    refused(registration(|r| r.labels = vec![Default::default(); 5000]), "WorkerUp.Register.labels has 5000 entries");
    refused(registration(|r| r.labels[0].name = String::new()), "WorkerUp.Label.name is");
    refused(registration(|r| r.labels[1].name = r.labels[0].name.clone()), "WorkerUp.Label.name is");
    refused(spec(|s| s.name = long()), "ApplicationSpec.name is 65537 bytes long");
    refused(spec(|s| s.cores_per_executor = Some(0)), "ApplicationSpec.cores_per_executor is 0");
    refused(spec(|s| s.max_cores = Some(0)), "ApplicationSpec.max_cores is 0");
    refused(spec(|s| s.memory_per_executor_mib = 0), "ApplicationSpec.memory_per_executor_mib is 0");
    refused(spec(|s| drop(s.conf.insert("spark.x".into(), long()))), "ApplicationSpec.conf: spark.x…: ");
    refused(
        spec(|s| s.conf.extend((0..5000).map(|i| (i.to_string(), String::new())))),
        "ApplicationSpec.conf: the configuration has more than 4096 keys",
    );
    refused(launch(|t| t.partition = 1_000_000), "TaskLaunch.partition is 1000000");
    refused(launch(|t| t.inputs = vec![Default::default(); 10_001]), "TaskLaunch.inputs has 10001 entries");
    let nowhere = task_launch::Target::Shuffle(task_launch::ToShuffle { shuffle: 1, partitions: 0 });
    refused(launch(|t| t.target = Some(nowhere)), "TaskLaunch.ToShuffle.partitions is 0");
    refused(map_output(|m| m.sizes[0] = MAX_QUANTITY + 1), "MapStatus.sizes is");
    refused(map_output(|m| m.partition = u32::MAX), "MapStatus.partition is");
    let spin = worker_down::Registered { term: 1, heartbeat_millis: 0 };
    let down = v1::WorkerDown { message: Some(worker_down::Message::Registered(spin)) };
    refused(WorkerDown::try_from(down), "WorkerDown.Registered.heartbeat_millis is 0");
    let inline = v1::result_block::Block::Inline(vec![0; (1 << 20) + 1].into());
    let block = v1::ResultBlock { block: Some(inline) };
    refused(ResultBlock::try_from(block), "ResultBlock.inline has 1048577 bytes");
}

#[test]
fn map_statuses_are_complete_and_in_order() {
    let response = |change: fn(&mut v1::GetMapStatusesResponse)| {
        let mut wire = v1::GetMapStatusesResponse::from(samples::map_statuses().remove(0));
        change(&mut wire);
        MapStatuses::try_from(wire)
    };
    refused(response(|r| r.statuses.swap(0, 1)), "GetMapStatusesResponse.statuses is 1; expected partition 0");
    refused(response(|r| drop(r.statuses.remove(0))), "GetMapStatusesResponse.statuses is 1; expected partition 0");
    refused(response(|r| r.statuses[1].sizes.truncate(2)), "GetMapStatusesResponse.statuses is 2; expected 3 blocks");
}
