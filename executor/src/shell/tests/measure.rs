use super::{super::run_executor_process, grpc::serve, *};
#[tokio::test]
async fn measure() {
    let (_known, mut dials, driver_url) = serve().await;
    let root = tempfile::tempdir().unwrap();
    let bootstrap = ExecutorBootstrap { driver_url, ..bootstrap(root.path(), &[], 9) };
    let (held, lifeline) = std::os::unix::net::UnixStream::pair().unwrap();
    let rss = || std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon") || l.starts_with("Threads")).collect::<Vec<_>>().join(" ");
    println!("before {}", rss());
    let t = std::time::Instant::now();
    let process = tokio::task::spawn_blocking(move || run_executor_process(bootstrap, lifeline));
    let mut link = timeout(PATIENCE, dials.recv()).await.unwrap().unwrap();
    println!("dialed {:?}", t.elapsed());
    assert!(matches!(link.incoming.recv().await, Some(TaskUp::Register(_))));
    println!("register {:?} {}", t.elapsed(), rss());
    link.outgoing.send(TaskDown::Registered).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    println!("idle {}", rss());
    let t = std::time::Instant::now();
    drop(held);
    link.incoming.recv().await;
    drop(link);
    process.await.unwrap().unwrap();
    println!("exit {:?}", t.elapsed());
}
