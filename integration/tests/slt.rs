//! The runner of sqllogictest files: it passes what is right, fails what is wrong and says why, on both engines.

use hearth::Conf;
use hearth_integration::slt::{Errors, FileReport, Options, Reason, Report, Start, run_file};
use std::{path::PathBuf, process::Command, time::Duration};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/slt").join(name)
}

fn hearth() -> Start {
    let mut conf = Conf::new();
    conf.set("spark.master", "local[2]").unwrap();
    Start::Hearth(Box::new(conf))
}

fn options(start: Start, errors: Errors) -> Options {
    Options { start, errors, explain: true, patience: Duration::from_secs(90), scratch: None }
}

fn run(name: &str, options: &Options) -> FileReport {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.thread_stack_size(16 << 20).enable_all().build().unwrap();
    runtime.block_on(run_file(&fixture(name), options))
}

#[test]
fn what_is_right_passes_on_both_engines() {
    for start in [Start::DataFusion(2), hearth()] {
        let report = run("right.slt", &options(start, Errors::Compare));
        assert_eq!(report.problems.iter().map(|p| &p.text).collect::<Vec<_>>(), [""; 0]);
        assert_eq!((report.passed, report.skipped, report.other_words), (11, 2, 0));
    }
}

#[test]
fn what_is_wrong_fails_with_its_place_and_reason() {
    let found = |report: &FileReport| {
        let line = |place: &str| place.rsplit(':').next().unwrap().parse::<u32>().unwrap();
        report.problems.iter().map(|p| (line(&p.place), p.reason)).collect::<Vec<_>>()
    };
    let five = [(3, Reason::Rows), (8, Reason::Types), (13, Reason::Error), (18, Reason::NoError), (24, Reason::Plan)];
    for start in [Start::DataFusion(2), hearth()] {
        let report = run("wrong.slt", &options(start.clone(), Errors::Any));
        assert_eq!((report.passed, report.skipped, report.other_words), (2, 0, 1));
        assert_eq!(found(&report), five);
        let strict = run("wrong.slt", &Options { explain: false, ..options(start, Errors::Compare) });
        assert_eq!((strict.passed, strict.skipped), (1, 1));
        assert_eq!(found(&strict), [&five[..4], &[(21, Reason::OtherError)]].concat());
        let mut sum = Report::default();
        sum.add(report);
        assert!(!sum.is_ok());
        assert_eq!(sum.files, (0, 1));
    }
}

/// The binary that people run: files and folders, both engines, the exit code, what it prints.
#[test]
fn the_binary_says_what_became_of_each_file() {
    let run = |arguments: &[&str]| {
        let done = Command::new(env!("CARGO_BIN_EXE_slt")).args(arguments).env_remove("RUST_LOG").output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (right, folder) = (fixture("right.slt"), fixture(""));
    let (code, out, _) = run(&[right.to_str().unwrap(), "--engine", "datafusion"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.ends_with("total: 11 passed, 0 failed, 2 skipped\nfiles: 1 of 1 without a failure\n\n"), "{out}");
    let (code, out, _) = run(&[folder.to_str().unwrap(), "--master", "local[2]", "--details"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("right.slt: 11 passed, 0 failed, 2 skipped\n"), "{out}");
    assert!(out.contains("wrong.slt:3: other rows came\n    query result mismatch"), "{out}");
    assert!(out.contains("total: 13 passed, 5 failed, 2 skipped\nfiles: 1 of 2 without a failure\n"), "{out}");
    let (code, out, err) = run(&[fixture("missing.slt").to_str().unwrap()]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("missing.slt: No such file"), "{err}");
    // Its children are started from this program.
    let (code, out, err) = run(&[right.to_str().unwrap(), "--master", "local-cluster[1,2,1024]"]);
    assert_eq!(code, Some(0), "{out}{err}");
    let (code, _, err) = run(&[right.to_str().unwrap(), "--conf", "spark.task.maxFailures"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("is not KEY=VALUE"), "{err}");
    let (code, _, err) = run(&[right.to_str().unwrap(), "--conf", "hearth.no.such=1"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("hearth.no.such"), "{err}");
}
