//! Real children of `/bin/sh`.

use hearth_launch::{Launch, LaunchError, LogFile, Outcome, Profile, Running};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{fs, path::Path, time::Duration};
use tempfile::TempDir;

/// Far above what anything here takes; a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn sh(dir: &TempDir, script: &str) -> Launch {
    let log = |name: &str| LogFile { path: dir.path().join(name), max_size: 1 << 20, retained: 1 };
    Launch {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![],
        cwd: dir.path().into(),
        first_line: None,
        stdout: log("stdout"),
        stderr: log("stderr"),
        profile: Profile::Plain,
    }
}

async fn end(running: &mut Running) -> Outcome {
    tokio::time::timeout(LONG, running.outcome()).await.expect("the child ends")
}

async fn outcome_of(script: &str) -> (i32, Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let outcome = end(&mut sh(&dir, script).start().unwrap()).await;
    (outcome.exit_code, outcome.signal, outcome.message)
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Waits until a process of another parent is gone: killed, and reaped by init or a zombie.
async fn gone(pid: Pid) {
    let dead = || {
        // A zombie that nobody reaps (some containers have no init that does) is as dead as one that is gone.
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
        let zombie = stat.rsplit(") ").next().is_some_and(|s| s.starts_with('Z'));
        zombie || test_kill_process(pid).is_err()
    };
    // Nothing tells about the end of somebody else's child, so this must ask again and again.
    let waiting = async {
        while !dead() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("the process is gone");
}

#[tokio::test]
async fn exit_codes_and_signals_are_told_apart() {
    assert_eq!(outcome_of("exit 0").await, (0, None, "Exited".into()));
    assert_eq!(outcome_of("exit 3").await, (3, None, "Exited with error status 3".into()));
    assert_eq!(outcome_of("kill -SEGV $$").await, (139, Some(11), "Caught fatal signal 11".into()));
}

#[tokio::test]
async fn an_outcome_can_be_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = sh(&dir, "echo gone wrong >&2; exit 4").start().unwrap();
    let outcome = end(&mut running).await;
    assert_eq!((outcome.exit_code, outcome.tail.as_str()), (4, "gone wrong\n"));
    running.kill(true);
    assert_eq!(end(&mut running).await, outcome);
}

#[tokio::test]
async fn output_goes_to_the_logs() {
    let dir = tempfile::tempdir().unwrap();
    end(&mut sh(&dir, "echo out; echo err >&2").start().unwrap()).await;
    assert_eq!(fs::read_to_string(dir.path().join("stdout")).unwrap(), "out\n");
    assert_eq!(fs::read_to_string(dir.path().join("stderr")).unwrap(), "err\n");
}

#[tokio::test]
async fn logs_rotate_and_the_tail_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = sh(&dir, "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done");
    launch.stderr.max_size = 1000;
    launch.stderr.retained = 2;
    let outcome = end(&mut launch.start().unwrap()).await;
    assert!(outcome.tail.ends_with("line 1998\nline 1999\n"), "{}", outcome.tail);
    assert!(outcome.tail.len() <= 4096, "{}", outcome.tail.len());
    let part = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let rest = part("stderr.2") + &part("stderr.1") + &part("stderr");
    for name in ["stderr", "stderr.1", "stderr.2"] {
        let size = part(name).len();
        assert!((1..=1000).contains(&size), "{name} has {size} bytes");
    }
    // What is kept is the end, without a gap.
    let numbers: Vec<u32> = rest.lines().filter_map(|l| l.strip_prefix("line ")?.parse().ok()).collect();
    assert_eq!(numbers.last(), Some(&1999));
    assert!(numbers.len() > 100 && numbers.windows(2).all(|w| w[0] + 1 == w[1]), "{numbers:?}");
    assert!(!dir.path().join("stderr.3").exists());
}

#[tokio::test]
async fn the_first_line_arrives_and_standard_input_stays_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = sh(&dir, "read line; echo \"got $line\"; cat > rest");
    launch.first_line = Some(b"{\"bootstrap\":1}".to_vec());
    let mut running = launch.start().unwrap();
    assert_eq!(running.ready_line(LONG).await.unwrap(), "got {\"bootstrap\":1}");
    // It now reads on and would end if its input had ended.
    assert!(tokio::time::timeout(Duration::from_millis(50), running.outcome()).await.is_err());
    running.kill(false);
    assert_eq!(end(&mut running).await.signal, Some(15));
    assert_eq!(fs::read_to_string(dir.path().join("rest")).unwrap(), "");
}

#[tokio::test]
async fn a_first_line_larger_than_a_pipe_does_not_hold_up_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = sh(&dir, "head -n 1 | wc -c");
    launch.first_line = Some(vec![b'x'; 1 << 20]);
    let mut running = launch.start().unwrap();
    assert_eq!(running.ready_line(LONG).await.unwrap().trim(), ((1 << 20) + 1).to_string());
    assert_eq!(end(&mut running).await.exit_code, 0);
}

#[tokio::test]
async fn a_child_that_is_not_ready_is_told_from_one_that_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut slow = sh(&dir, "cat").start().unwrap();
    let error = slow.ready_line(Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, LaunchError::NotReady { .. }), "{error}");
    let mut dead = sh(&dir, "exit 1").start().unwrap();
    let error = dead.ready_line(LONG).await.unwrap_err();
    assert!(matches!(error, LaunchError::EndedUnready { .. }), "{error}");
    assert_eq!(error.to_string(), "\"/bin/sh\" ended before it was ready");
}

#[tokio::test]
async fn a_soft_kill_can_be_answered_and_a_hard_one_not() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'echo asked; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let mut polite = sh(&dir, script).start().unwrap();
    polite.ready_line(LONG).await.unwrap();
    polite.kill(false);
    assert_eq!(end(&mut polite).await.exit_code, 5);

    let mut deaf = sh(&dir, "trap '' TERM; echo ready; while :; do sleep 0.01; done").start().unwrap();
    deaf.ready_line(LONG).await.unwrap();
    deaf.kill(false);
    assert!(tokio::time::timeout(Duration::from_millis(50), deaf.outcome()).await.is_err());
    deaf.kill(true);
    assert_eq!(end(&mut deaf).await.signal, Some(9));
}

#[tokio::test]
async fn a_kill_reaches_grandchildren() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = sh(&dir, "sleep 1000 & echo $!; wait").start().unwrap();
    let grandchild = pid(&running.ready_line(LONG).await.unwrap());
    test_kill_process(grandchild).expect("the grandchild lives");
    running.kill(false);
    assert_eq!(end(&mut running).await.signal, Some(15));
    gone(grandchild).await;
}

#[tokio::test]
async fn no_grandchild_outlives_the_child() {
    let dir = tempfile::tempdir().unwrap();
    // The grandchild holds the pipes too: the outcome does not wait for it.
    let mut running = sh(&dir, "trap '' TERM; sleep 1000 & echo $!; exit 0").start().unwrap();
    let grandchild = pid(&running.ready_line(LONG).await.unwrap());
    assert_eq!(end(&mut running).await.exit_code, 0);
    gone(grandchild).await;
}

#[tokio::test]
async fn a_dropped_child_is_killed_with_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = sh(&dir, "sleep 1000 & echo $!; wait").start().unwrap();
    let grandchild = pid(&running.ready_line(LONG).await.unwrap());
    let child = Pid::from_raw(running.pid().try_into().unwrap()).unwrap();
    drop(running);
    gone(grandchild).await;
    gone(child).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_outcome() {
    let dir = tempfile::tempdir().unwrap();
    // It has left before the child ends: it says so itself.
    let script = "trap 'exit 2' TERM; setsid sh -c 'echo $$; exec sleep 1000' & wait";
    let mut running = sh(&dir, script).start().unwrap();
    let escaped = pid(&running.ready_line(LONG).await.unwrap());
    running.kill(false);
    let outcome = end(&mut running).await;
    let lived = test_kill_process(escaped).is_ok();
    let _ = kill_process(escaped, Signal::KILL);
    assert_eq!(outcome.exit_code, 2);
    assert!(lived, "it was to live on");
}

#[tokio::test]
async fn the_environment_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = sh(&dir, "env > environment");
    launch.env = vec![("HEARTH_TEST".into(), "named".into())];
    assert_eq!(end(&mut launch.start().unwrap()).await.exit_code, 0);
    let text = fs::read_to_string(dir.path().join("environment")).unwrap();
    // The shell sets the last three itself.
    let legal = ["PATH", "HOME", "LANG", "TMPDIR", "RUST_LOG", "RUST_BACKTRACE", "HEARTH_TEST", "PWD", "SHLVL", "_"];
    for line in text.lines() {
        let name = line.split('=').next().unwrap();
        assert!(legal.contains(&name), "{line}");
    }
    assert!(text.contains("HEARTH_TEST=named\n"));
    // Cargo sets this one for tests: it is there to be inherited, and was not.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
}

#[tokio::test]
async fn errors_name_what_was_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let mut launch = sh(&dir, "");
    launch.program = "/no/such/program".into();
    let error = launch.start().unwrap_err().to_string();
    assert!(error.starts_with("cannot start \"/no/such/program\": No such file or directory"), "{error}");

    let mut launch = sh(&dir, "");
    launch.cwd = "/no/such/directory".into();
    let error = launch.start().unwrap_err().to_string();
    assert_eq!(error, "cannot start \"/bin/sh\": its working directory \"/no/such/directory\" is not a directory");

    let mut launch = sh(&dir, "");
    launch.stderr.path = Path::new("/no/such/log").into();
    let error = launch.start().unwrap_err().to_string();
    assert!(error.starts_with("cannot start \"/bin/sh\": its log \"/no/such/log\" cannot be opened"), "{error}");
}
