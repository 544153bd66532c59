//! Object stores, with a real S3 server and a real cluster.

use hearth_integration::real::{
    Daemon, Run, S3Server, TestCluster, eventually, hearth, run_command,
    s3::{ACCESS_KEY, SECRET_KEY, without_credentials},
    signal,
};
use rustix::process::Signal;
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// The files of these tests, made on this machine and put into a bucket: 3 Parquet files of 100 rows, CSV in gzip, and a
/// table of two partitions.
fn fill(server: &S3Server) {
    let local = tempfile::tempdir().unwrap();
    let path = |name: &str| local.path().join(name).to_str().unwrap().to_owned();
    let mut context = Vec::new();
    for part in 0..3 {
        let (from, to) = (part * 100, part * 100 + 100);
        context.push((
            format!("numbers/part-{part}.parquet"),
            format!("select i as id, i % 7 as seven, 'name ' || i as name from unnest(range({from}, {to})) as t(i)"),
        ));
    }
    for year in [2025, 2026] {
        let key = format!("sales/year={year}/data.parquet");
        context.push((key, format!("select i as amount from unnest(range(0, {})) as t(i)", year - 2000)));
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (key, sql) in context {
        let file = path(&key.replace('/', "-"));
        runtime.block_on(async {
            // DataFusion by itself writes what Hearth reads.
            let frame = datafusion::prelude::SessionContext::new().sql(&sql).await.unwrap();
            frame.write_parquet(&file, Default::default(), None).await.unwrap();
        });
        server.put("data", &key, &fs::read(file).unwrap());
    }
    fs::write(path("c.csv"), (0..50).fold("k,v\n".to_owned(), |t, i| format!("{t}{i},{}\n", i * 2))).unwrap();
    assert!(Command::new("gzip").arg(path("c.csv")).status().unwrap().success());
    server.put("data", "logs/c.csv.gz", &fs::read(path("c.csv.gz")).unwrap());
    server.put("data", "logs/_SUCCESS", b"");
}

/// `hearth sql` with `told` saying what it knows of the server.
fn sql(master: &str, sql: &str, more: &[&str], told: impl Fn(&mut Command) -> &mut Command) -> Run {
    let mut command = hearth();
    command.args(["sql", "--master", master, "--format", "csv", "-e", sql]).args(more);
    told(&mut command);
    run_command(&mut command)
}

#[test]
fn files_on_s3_are_read_by_a_cluster() {
    let server = S3Server::start(&["data"]);
    fill(&server);
    // Workers and executors know nothing of the server.
    let cluster = TestCluster::start(&[1, 1]);
    let ask = |text: &str| sql(&cluster.url, text, &[], |c| server.tell(c)).ok();
    let rows = |text: &str| ask(text).lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(rows("select count(*), sum(id), max(seven) from 's3://data/numbers/'"), ["300,44850,6"]);
    assert_eq!(rows("select name from 's3a://data/numbers/part-1.parquet' where id = 123"), ["name 123"]);
    assert_eq!(rows("select count(*) from 's3://data/numbers/part-[01].parquet'"), ["200"]);
    assert_eq!(rows("select count(*) from 's3://data/*/part-*.parquet'"), ["300"]);
    assert_eq!(rows("select count(*), sum(v) from 's3://data/logs/'"), ["50,2450"]);
    let partitions = "select year, count(*) from 's3://data/sales/' group by year order by year";
    assert_eq!(rows(partitions), ["2025,25", "2026,26"]);
    assert_eq!(rows("select count(*) from 's3://data/sales/' where year > 2025"), ["26"]);
    let joined = "select count(*) from 's3://data/numbers/' n join 's3://data/logs/c.csv.gz' c on n.id = c.k";
    assert_eq!(rows(joined), ["50"]);
    cluster.await_idle();
    nothing_has_the_secret(cluster.dir());
}

#[test]
fn credentials_come_from_options_and_the_configuration_too() {
    let server = S3Server::start(&["data"]);
    fill(&server);
    let count = "select count(*) from 's3a://data/numbers/'";
    let conf = [
        format!("spark.hadoop.fs.s3a.endpoint={}", server.endpoint),
        format!("spark.hadoop.fs.s3a.access.key={ACCESS_KEY}"),
        format!("spark.hadoop.fs.s3a.secret.key={SECRET_KEY}"),
    ];
    let conf: Vec<&str> = conf.iter().flat_map(|pair| ["--conf", pair]).collect();
    let done = sql("local-cluster[2,1,1024]", count, &conf, |c| without_credentials(c).env("RUST_LOG", "info"));
    assert!(!done.err.contains(SECRET_KEY), "{}", done.err);
    assert_eq!(done.ok().lines().nth(1), Some("300"));
    let create = format!(
        "create external table n stored as parquet location 's3://data/numbers/' options ('aws.access_key_id' '{ACCESS_KEY}', \
         'aws.secret_access_key' '{SECRET_KEY}', 'aws.endpoint' '{}'); select count(*) from n; show all; explain select * from n",
        server.endpoint
    );
    let done = sql("local[2]", &create, &["--verbose"], |c| without_credentials(c));
    assert!(!done.err.contains(SECRET_KEY) && !done.out.contains(SECRET_KEY), "{}", done.err);
    assert!(done.ok().contains("\n300\n"));
}

#[test]
fn what_is_wrong_is_told_in_time_with_the_url_and_what_to_set() {
    let server = S3Server::start(&["data"]);
    fill(&server);
    let failed = |text: &str, more: &[&str], told: &dyn Fn(&mut Command) -> &mut Command| {
        let begun = Instant::now();
        let err = sql("local[1]", text, more, told).failed(1);
        assert!(begun.elapsed() < Duration::from_secs(45), "{:?}: {err}", begun.elapsed());
        assert!(!err.contains("attempt") && !err.contains(SECRET_KEY), "{err}");
        err
    };
    let count = "select count(*) from 's3://data/numbers/'";
    let err = failed(count, &[], &|c| server.tell(c).env("AWS_SECRET_ACCESS_KEY", "wrong"));
    for word in ["s3://data/numbers", "refused", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"] {
        assert!(err.contains(word), "{word}: {err}");
    }
    let err = failed("select count(*) from 's3://nowhere/x/'", &[], &|c| server.tell(c));
    assert!(err.contains("s3://nowhere") && err.contains("no such bucket"), "{err}");
    let err = failed("select 1 from 's3://data/missing.parquet'", &[], &|c| server.tell(c));
    assert!(err.contains("s3://data/missing.parquet"), "{err}");
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = format!("http://127.0.0.1:{port}");
    let quick = ["--conf", "hearth.store.timeout=3s"];
    let err = failed(count, &quick, &|c| server.tell(c).env("AWS_ENDPOINT_URL", &away));
    for word in ["s3://data/numbers", "cannot be reached", &away, "AWS_ENDPOINT_URL"] {
        assert!(err.contains(word), "{word}: {err}");
    }
}

/// Neither logs nor what lies in the directories of a cluster has the secret.
fn nothing_has_the_secret(dir: &Path) {
    let mut looked_at = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if let Ok(bytes) = fs::read(entry.path()) {
                looked_at += 1;
                let found = bytes.windows(SECRET_KEY.len()).any(|w| w == SECRET_KEY.as_bytes());
                assert!(!found, "{} has the secret", entry.path().display());
            }
        }
    }
    assert!(looked_at > 0, "there are logs to look at");
}

/// The keys of the objects of a bucket.
fn objects(server: &S3Server, bucket: &str) -> Vec<String> {
    fn walk(dir: &Path, base: &Path, found: &mut Vec<String>) {
        for path in fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                walk(&path, base, found);
            } else {
                found.push(path.strip_prefix(base).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(&server.bucket(bucket), &server.bucket(bucket), &mut found);
    found.sort();
    found
}

/// Parts of objects that nobody has completed; the server keeps them beside its buckets.
fn open_parts(server: &S3Server) -> usize {
    let beside = fs::read_dir(server.bucket("out").parent().unwrap()).unwrap().flatten();
    beside.filter(|entry| entry.file_name().to_string_lossy().starts_with(".upload_id-")).count()
}

#[test]
fn a_cluster_writes_to_s3() {
    let server = S3Server::start(&["data", "out"]);
    fill(&server);
    let cluster = TestCluster::start(&[1, 1]);
    let run = |text: &str| sql(&cluster.url, text, &[], |c| server.tell(c));
    let count = |text: &str| run(text).ok().lines().last().unwrap_or_default().to_owned();
    // A folder: a file a task, and _SUCCESS.
    assert_eq!(count("copy (select * from 's3://data/numbers/') to 's3://out/numbers/' stored as parquet"), "300");
    let found = objects(&server, "out");
    let files = found.iter().filter(|f| f.starts_with("numbers/part-") && f.ends_with(".parquet")).count();
    assert!(files >= 1 && found.len() == files + 1 && found.contains(&"numbers/_SUCCESS".to_owned()), "{found:?}");
    assert_eq!(count("select count(*), sum(id), max(seven) from 's3://out/numbers/'"), "300,44850,6");
    // What is there stays.
    let err = run("copy (select 1 as a) to 's3://out/numbers/' stored as parquet").failed(1);
    assert!(err.contains("s3://out/numbers: the folder exists already"), "{err}");
    // Folders by the values of columns, whatever these are.
    let odd =
        "select i, case i % 3 when 0 then 'a/b' when 1 then 'c d' else 'é=1' end as k from unnest(range(0, 9)) as t(i)";
    assert_eq!(count(&format!("copy ({odd}) to 's3://out/by/' stored as csv partitioned by (k)")), "9");
    assert_eq!(count("select count(*), count(distinct k), max(k) from 's3://out/by/'"), "9,3,é=1");
    // One file; its format is told by its name.
    assert_eq!(count("copy (select id from 's3://data/numbers/' order by id limit 3) to 's3://out/three.csv'"), "3");
    assert_eq!(fs::read_to_string(server.bucket("out").join("three.csv")).unwrap(), "id\n0\n1\n2\n");
    let err = run("copy (select 1 as a) to 's3://out/three.csv'").failed(1);
    assert!(err.contains("s3://out/three.csv: the file exists already"), "{err}");
    // More rows for a table.
    let insert = "create external table t stored as parquet location 's3://out/numbers/'; \
                  insert into t select id + 300, seven, name from t; select count(*), sum(id) from t";
    assert_eq!(count(insert), "600,179700");
    // Statements may say who they are.
    let copy = format!(
        "copy (select 7 as a) to 's3://out/seven.json' options ('aws.access_key_id' '{ACCESS_KEY}', \
         'aws.secret_access_key' '{SECRET_KEY}', 'aws.endpoint' '{}')",
        server.endpoint
    );
    sql(&cluster.url, &copy, &[], |c| without_credentials(c)).ok();
    assert_eq!(fs::read_to_string(server.bucket("out").join("seven.json")).unwrap(), "{\"a\":7}\n");
    let err = run("copy (select 1 as a) to 's3://nowhere/x/' stored as csv").failed(1);
    assert!(err.contains("s3://nowhere/x") && err.contains("no such bucket"), "{err}");
    let err = run("copy (select 1 / (i - 5) as a from unnest(range(0, 9)) as t(i)) to 's3://out/bad/' stored as csv");
    assert!(err.failed(1).contains("ivide by zero"));
    assert!(!objects(&server, "out").iter().any(|f| f.starts_with("bad")), "{:?}", objects(&server, "out"));
    eventually("nothing is left of its uploads", || (open_parts(&server) == 0).then_some(()));
    cluster.await_idle();
    nothing_has_the_secret(cluster.dir());
}

/// Rows of lineitem at scale 0.1, as TPC-H has them.
const LINES: &str = "600572";

/// A write that is in the middle of it: parts of objects are there.
fn writing(cluster: &TestCluster, server: &S3Server) -> Daemon {
    // Small parts would be refused by S3, so the files are large.
    let copy = "copy tpch.sf0_1.lineitem to 's3://out/lines/' stored as csv";
    let mut command = hearth();
    command.args(["sql", "--master", &cluster.url, "--format", "csv", "--executor-cores", "1", "-e", copy]);
    let query = Daemon::spawn("write", server.tell(&mut command), cluster.dir());
    eventually("parts of objects are there", || (open_parts(server) >= 2).then_some(()));
    assert!(objects(server, "out").is_empty(), "nothing is visible yet: {:?}", objects(server, "out"));
    query
}

#[test]
fn a_writer_to_s3_that_is_killed_half_way_leaves_nothing_committed() {
    let server = S3Server::start(&["out"]);
    let cluster = TestCluster::start(&[1, 1]);
    let mut query = writing(&cluster, &server);
    assert!(!query.is_over(), "the write was over before the fault: {}", query.log());
    query.signal(Signal::KILL);
    query.wait();
    cluster.await_idle();
    assert!(objects(&server, "out").is_empty(), "{:?}", objects(&server, "out"));
}

#[test]
fn an_executor_that_writes_to_s3_is_killed() {
    let server = S3Server::start(&["out"]);
    let cluster = TestCluster::start(&[1, 1]);
    let mut query = writing(&cluster, &server);
    let victim = cluster.executors().remove(0);
    assert!(!query.is_over(), "the write was over before the fault: {}", query.log());
    signal(victim.pid, Signal::KILL);
    assert!(query.wait().success(), "{}", query.log());
    assert_eq!(query.output().trim(), format!("count\n{LINES}"));
    let read = "create external table t stored as csv location 's3://out/lines/'; \
                select count(*), count(distinct l_orderkey * 10 + l_linenumber) from t";
    let read = sql(&cluster.url, read, &[], |c| server.tell(c)).ok();
    assert_eq!(read.lines().last(), Some(&*format!("{LINES},{LINES}")));
    assert!(objects(&server, "out").contains(&"lines/_SUCCESS".to_owned()));
    cluster.await_idle();
}

#[test]
fn a_writer_to_s3_that_is_interrupted_takes_its_uploads_back() {
    let server = S3Server::start(&["out"]);
    let cluster = TestCluster::start(&[1, 1]);
    let mut query = writing(&cluster, &server);
    query.signal(Signal::INT);
    assert_eq!(query.wait().code(), Some(130), "{}", query.log());
    assert!(objects(&server, "out").is_empty(), "{:?}", objects(&server, "out"));
    eventually("nothing is left of its uploads", || (open_parts(&server) == 0).then_some(()));
    cluster.await_idle();
}
