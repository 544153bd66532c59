//! An executor that comes over the network.

use super::{chain, fake};
use crate::{
    machine::JobNews,
    shell::{DriverHandle, ShellOptions},
};
use hearth_core::{
    ApplicationState, Payload, PayloadHash, Refusal,
    messages::task::{TaskDown, TaskInput, TaskStatus, TaskUp},
    wire,
};
use hearth_proto::v1::{self, task_link_client::TaskLinkClient};
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};

async fn client(driver: &DriverHandle) -> TaskLinkClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", driver.port().unwrap())).unwrap();
    TaskLinkClient::new(endpoint.connect().await.unwrap())
}

#[tokio::test]
async fn executors_register_work_and_ask_over_the_network() {
    let driver = DriverHandle::start(ShellOptions::default()).await.unwrap();
    let mut client = client(&driver).await;
    let (outgoing, queue) = mpsc::channel(16);
    let stream = client.connect(wire::outgoing::<TaskUp, v1::TaskUp>(queue)).await.unwrap().into_inner();
    let mut incoming = wire::incoming::<v1::TaskDown, TaskDown>(stream, "driver".into());
    outgoing.send(fake::registration(1, 1)).await.unwrap();
    assert_eq!(incoming.recv().await, Some(TaskDown::Registered));

    let mut job = driver.submit(chain(&[1, 1])).await.unwrap();
    for stage in 0..2 {
        let Some(TaskDown::Launch(batch)) = incoming.recv().await else { panic!("a launch") };
        let answer = client.get_payload(v1::GetPayloadRequest::from(batch[0].payload)).await.unwrap().into_inner();
        let payload = wire::checked_payload(batch[0].payload, answer).unwrap();
        assert_eq!(payload, Payload::new(format!("payload {stage}")));
        if let [input] = batch[0].inputs[..] {
            let answer = client.get_map_statuses(v1::GetMapStatusesRequest::from(input)).await.unwrap();
            assert_eq!(answer.into_inner().statuses.len(), 1);
        }
        let status = TaskStatus { task: batch[0].task, news: fake::output(&batch[0], &[7]) };
        outgoing.send(TaskUp::Statuses(vec![status])).await.unwrap();
    }
    assert!(matches!(job.next().await, Some(JobNews::Result { partition: 0, .. })));
    assert_eq!(job.next().await, Some(JobNews::Over(Ok(()))));
    assert!(matches!(incoming.recv().await, Some(TaskDown::Forget { .. })));

    let refusal = client.get_payload(v1::GetPayloadRequest::from(PayloadHash([1; 32]))).await.unwrap_err();
    assert!(matches!(wire::refusal_of(&refusal), Some(Refusal::Gone(_))));
    let short = v1::GetPayloadRequest { hash: vec![1; 31].into() };
    let refusal = client.get_payload(short).await.unwrap_err();
    assert!(matches!(wire::refusal_of(&refusal), Some(Refusal::Malformed(_))));
    let unknown = TaskInput { shuffle: hearth_core::ShuffleId(99), epoch: 0 };
    let refusal = client.get_map_statuses(v1::GetMapStatusesRequest::from(unknown)).await.unwrap_err();
    assert!(matches!(wire::refusal_of(&refusal), Some(Refusal::Gone(_))));

    driver.stop(ApplicationState::Finished, "done").await;
    assert_eq!(incoming.recv().await, Some(TaskDown::Stop { reason: "done".into() }));
    assert_eq!(incoming.recv().await, None);
}

#[tokio::test]
async fn whoever_does_not_register_is_cut_off() {
    let driver = DriverHandle::start(ShellOptions::default()).await.unwrap();
    let mut client = client(&driver).await;
    let (outgoing, queue) = mpsc::channel(16);
    let stream = client.connect(wire::outgoing::<TaskUp, v1::TaskUp>(queue)).await.unwrap().into_inner();
    let mut incoming = wire::incoming::<v1::TaskDown, TaskDown>(stream, "driver".into());
    outgoing.send(TaskUp::Heartbeat).await.unwrap();
    assert_eq!(incoming.recv().await, None);
    driver.stop(ApplicationState::Finished, "done").await;
}
