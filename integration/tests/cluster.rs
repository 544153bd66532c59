//! A cluster in ordinary use: two applications at once, every path of a shuffle block, the HTTP port, memory at rest.

use hearth_core::ApplicationState;
use hearth_integration::real::{TestCluster, Traffic, eventually, run};
use std::io::{Read, Write};

const COUNT: &str = "select count(*) as n from tpch.sf0_01.lineitem";

#[test]
fn two_applications_share_a_cluster_and_the_waiting_one_says_why() {
    let cluster = TestCluster::start(&[1]);
    let slow =
        "select count(*) as n from tpch.sf0_1.lineitem a, tpch.sf0_1.lineitem b where a.l_orderkey = b.l_orderkey";
    let mut first = cluster.start_sql("first", &["--format", "csv", "-e", slow]);
    let holder = cluster.await_application("first", |a| a.cores == 1);
    let mut second = cluster.start_sql("second", &["--format", "csv", "-e", COUNT]);
    let waiting = cluster.await_application("second", |a| a.state == ApplicationState::Waiting);

    // Accounting in between: one core, held by the first.
    let view = cluster.status();
    assert_eq!(view.workers[0].used.cores, 1);
    assert_eq!(view.active.iter().map(|a| a.cores).sum::<u32>(), 1);
    let why = run(&["explain", waiting.id.as_str(), "--master", &cluster.url]).ok();
    assert!(why.contains(holder.id.as_str()), "it names who holds the cores: {why}");
    assert!(why.contains("core"), "{why}");
    eventually("the waiting one's own log says why", || second.log().contains(holder.id.as_str()).then_some(()));

    assert!(first.wait().success(), "{}", first.log());
    assert!(second.wait().success(), "{}", second.log());
    assert_eq!(second.output().trim(), "n\n60175");
    cluster.await_idle();
    for name in ["first", "second"] {
        cluster.await_application(name, |a| a.state == ApplicationState::Finished && a.executors.is_empty());
    }
}

#[test]
fn every_path_of_a_block_gives_the_same_rows() {
    let cluster = TestCluster::start_logging_blocks(&[1, 1]);
    let query =
        "select l_returnflag, count(*) as n from tpch.sf0_01.lineitem group by l_returnflag order by l_returnflag";
    // By DuckDB; see the fixtures' q1.
    let expected = "l_returnflag,n\nA,14876\nN,30397\nR,14902\n";
    for (service, local) in [(true, true), (true, false), (false, true), (false, false)] {
        let name = format!("service {service}, local {local}");
        let with_service = format!("spark.shuffle.service.enabled={service}");
        let with_local = format!("hearth.shuffle.localRead={local}");
        let conf = ["--name", &name, "--format", "csv", "--conf", &with_service, "--conf", &with_local];
        assert_eq!(cluster.sql(&[&conf[..], &["-e", query]].concat()).ok(), expected, "{name}");
        cluster.await_idle();
        let app = cluster.await_application(&name, |a| a.state.is_final());
        let moved = Traffic::of(&cluster, &app.id);
        // All bytes took the one way that was asked for, and some bytes did.
        let all = moved.from_files + moved.over_network;
        assert!(all > 0, "{name}: {moved:?}");
        let expected = match (local, service) {
            (true, _) => Traffic { from_files: all, ..Traffic::default() },
            (false, true) => Traffic { over_network: all, by_services: all, ..Traffic::default() },
            (false, false) => Traffic { over_network: all, by_executors: all, ..Traffic::default() },
        };
        assert_eq!(moved, expected, "{name}");
    }
}

/// Each executor reads what all tasks want once, and most of it from the other executors.
#[test]
fn what_every_task_wants_is_passed_on_by_executors() {
    let cluster = TestCluster::start_logging_blocks(&[1, 1, 1]);
    // Every line has its order, and the specification says how long comments are.
    let query = "select count(*) as n, sum(case when length(o_comment) between 19 and 78 \
                 and length(l_comment) between 10 and 43 then 1 else 0 end) as right \
                 from tpch.sf0_1.lineitem join tpch.sf0_1.orders on l_orderkey = o_orderkey";
    for service in [true, false] {
        let name = format!("service {service}");
        let with_service = format!("spark.shuffle.service.enabled={service}");
        let mut conf = vec!["--name", &name, "--format", "csv", "--conf", &with_service];
        for pair in [
            "hearth.shuffle.localRead=false",
            "spark.sql.autoBroadcastJoinThreshold=1g",
            "spark.sql.shuffle.partitions=12",
        ] {
            conf.extend(["--conf", pair]);
        }
        let sql = |text: &str| cluster.sql(&[&conf[..], &["-e", text]].concat()).ok();
        assert!(sql(&format!("explain {query}")).contains("broadcast"));
        assert_eq!(sql(query), "n,right\n600572,600572\n", "{name}");
        cluster.await_idle();
        let apps = cluster.status().completed;
        let app = apps.iter().filter(|a| a.name == name).max_by_key(|a| a.id.clone()).unwrap();
        let moved = Traffic::of(&cluster, &app.id);
        // Twelve tasks on three executors read all of it.
        assert!(moved.from_files >= 3 * moved.over_network, "{name}: {moved:?}");
        assert!(
            moved.from_peers * 4 >= moved.over_network && moved.from_peers < moved.over_network,
            "{name}: {moved:?}"
        );
    }
}

#[test]
fn a_sort_by_ranges_comes_in_order() {
    let cluster = TestCluster::start(&[1, 1]);
    let sort = "select o_orderkey as k from tpch.sf0_1.orders order by o_orderkey desc";
    let sql = |text: &str| {
        let conf = ["--format", "csv", "--conf", "hearth.sql.rangeSort=always"];
        cluster.sql(&[&conf[..], &["--conf", "spark.sql.shuffle.partitions=3", "-e", text]].concat()).ok()
    };
    assert!(sql(&format!("explain {sort}")).contains("writes 3 blocks a task by ranges of"));
    let sorted = sql(sort);
    let keys: Vec<u32> = sorted.lines().skip(1).map(|line| line.parse().unwrap()).collect();
    // As many as TPC-H says.
    assert_eq!(keys.len(), 150_000);
    assert!(keys.is_sorted_by(|a, b| a > b));
    let dealt =
        "select count(*) as n, max(o_orderkey) as k from (select /*+ REPARTITION(5) */ * from tpch.sf0_1.orders)";
    assert_eq!(sql(dealt), "n,k\n150000,600000\n");
}

#[test]
fn explain_analyze_tells_what_the_stages_did() {
    let cluster = TestCluster::start(&[1, 1]);
    let sql = "explain analyze verbose select l_returnflag, count(*) from tpch.sf0_01.lineitem group by l_returnflag";
    let out = cluster.sql(&["--format", "json", "-e", sql]).ok();
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((rows.as_array().map(Vec::len), &rows[0]["plan_type"]), (Some(1), &"stages".into()), "{out}");
    let text = rows[0]["plan"].as_str().unwrap();
    assert!(text.starts_with("2 stages in "), "{text}");
    // As many rows as TPC-H says, three groups in each of two tasks, and three in all.
    for part in ["tasks   2 of 2 done, 2 attempts", "rows    60,175 in, 6 out", "rows    6 in, 3 out", "60,175"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let scan = text.lines().find(|line| line.contains("TpchScanExec")).unwrap();
    assert!(scan.trim_start().starts_with("60,175 "), "{scan}");
    cluster.await_idle();
}

#[test]
fn the_http_port_answers() {
    let cluster = TestCluster::start(&[2]);
    assert_eq!(get(&cluster.webui, "/healthz").0, 200);
    let (code, json) = get(&cluster.webui, "/json/");
    assert_eq!(code, 200);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["aliveworkers"], 1);
    assert_eq!(json["cores"], 2);
    assert_eq!(json["coresused"], 0);
    assert_eq!(json["memory"], 2048);
    assert_eq!(json["status"], "ALIVE");
    for key in ["url", "workers", "memoryused", "activeapps", "completedapps", "activedrivers", "completeddrivers"] {
        assert!(!json[key].is_null(), "{key} is missing");
    }
    cluster.sql(&["-e", COUNT]).ok();
    cluster.await_idle();
    let (code, metrics) = get(&cluster.webui, "/metrics");
    assert_eq!(code, 200);
    assert!(metrics.lines().any(|l| l.starts_with("hearth_master_workers")), "{metrics}");
    assert_eq!(get(&cluster.webui, "/nowhere").0, 404);
}

/// A GET over a plain socket: status and body.
fn get(base: &str, path: &str) -> (u16, String) {
    let address = base.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn a_worker_that_stops_says_goodbye_and_takes_its_children_along() {
    let mut cluster = TestCluster::start(&[1, 1]);
    assert_eq!(cluster.block_services().len(), 2);
    cluster.workers[0].signal(rustix::process::Signal::TERM);
    assert!(cluster.workers[0].wait().success(), "{}", cluster.workers[0].log());
    eventually("the master has dropped it", || {
        let alive = cluster.status().workers.iter().filter(|w| w.state == hearth_core::WorkerState::Alive).count();
        (alive == 1).then_some(())
    });
    assert_eq!(cluster.block_services().len(), 1);
    assert_eq!(cluster.sql(&["--format", "csv", "-e", COUNT]).ok(), "n\n60175\n");
}

#[test]
fn a_master_that_restarts_starts_empty_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let args = ["master", "--port", "0", "--webui-port", "0", "--state-dir", state.to_str().unwrap()];
    let mut master = hearth_integration::real::Daemon::start("master-1", &args, dir.path());
    let url = master.await_line("master ");
    master.await_line("webui ");
    let work = dir.path().join("w");
    let args_worker = ["worker", &url, "--cores", "1", "--memory", "1g", "--work-dir", work.to_str().unwrap()];
    let mut worker = hearth_integration::real::Daemon::start("worker", &args_worker, dir.path());
    worker.await_line("registered");
    master.signal(rustix::process::Signal::KILL);
    master.wait();
    let port = url.rsplit(':').next().unwrap();
    let args = ["master", "--port", port, "--webui-port", "0", "--state-dir", state.to_str().unwrap()];
    let mut again = hearth_integration::real::Daemon::start("master-2", &args, dir.path());
    again.await_line("webui ");
    assert!(again.log().contains("starts empty"), "{}", again.log());
    eventually("the worker is back by itself", || {
        let status = run(&["status", "--master", &url, "--json"]).ok();
        status.contains("ALIVE").then_some(()).filter(|()| status.contains("worker-"))
    });
    worker.signal(rustix::process::Signal::TERM);
    assert!(worker.wait().success(), "{}", worker.log());
    again.signal(rustix::process::Signal::TERM);
    assert!(again.wait().success(), "{}", again.log());
}
