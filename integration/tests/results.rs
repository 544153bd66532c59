//! Results that are larger than the client may ever be: they stream, and no part of the way holds them.

use hearth_integration::real::{PATIENCE, TestCluster, eventually, hearth, signal};
use rustix::process::Signal;
use std::{
    fs::File,
    io::Read,
    process::{Child, Stdio},
    time::Instant,
};

/// Rows of a kind that does not become much smaller, all in one partition: 600,572 times eight, as TPC-H says.
const LARGE: &str = "select l_comment, reverse(l_comment), upper(l_comment), translate(l_comment, 'aeiou', '12345'), k \
                     from tpch.sf0_1.lineitem, (values (1), (2), (3), (4), (5), (6), (7), (8)) as t(k)";
const ROWS_OF_EACH: u64 = 600_572;

/// What the client may take at its peak: its code, what is in flight, some batches. The result is larger.
const BOUND: u64 = 256 << 20;

/// A client whose standard output this test reads as it likes.
struct Client {
    child: Child,
    peak: u64,
    rows: [u64; 9],
    /// The end of what was read, up to a line's end.
    rest: Vec<u8>,
}

impl Client {
    fn start(cluster: &TestCluster, conf: &[&str]) -> Self {
        let conf = conf.iter().flat_map(|pair| ["--conf", pair]);
        let child = hearth()
            .args(["sql", "--master", &cluster.url, "--name", "large", "--format", "csv", "-e", LARGE])
            .args(conf)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(cluster.dir().join("client.log")).expect("a log file"))
            .current_dir(cluster.dir())
            .spawn()
            .expect("the binary starts");
        Self { child, peak: 0, rows: [0; 9], rest: Vec::new() }
    }

    /// Reads so many bytes, or to the end; says whether there was more.
    fn read(&mut self, mut bytes: usize) -> bool {
        let mut buffer = vec![0; 1 << 20];
        while bytes > 0 {
            let most = bytes.min(buffer.len());
            let out = self.child.stdout.as_mut().expect("it is piped");
            let read = out.read(&mut buffer[..most]).expect("a pipe can be read");
            if read == 0 {
                return false;
            }
            self.count(&buffer[..read]);
            self.peak = self.peak.max(self.high_water());
            bytes -= read;
        }
        true
    }

    /// Counts rows by their last column.
    fn count(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        for line in self.rest[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            // The header ends in a letter.
            let k = line[line.len() - 1].wrapping_sub(b'0');
            self.rows[if (1..=8).contains(&k) { usize::from(k) } else { 0 }] += 1;
        }
        self.rest.drain(..whole);
    }

    fn high_water(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
    }

    fn ends_right(mut self, cluster: &TestCluster) {
        let begun = Instant::now();
        while self.read(16 << 20) {
            assert!(begun.elapsed() < 2 * PATIENCE, "the rows do not end");
        }
        let status = self.child.wait().expect("it ends");
        let log = std::fs::read_to_string(cluster.dir().join("client.log")).unwrap_or_default();
        assert!(status.success(), "{log}");
        let mut expected = [ROWS_OF_EACH; 9];
        // The header.
        expected[0] = 1;
        assert_eq!(self.rows, expected);
        let served = cluster.bytes_served(0);
        assert!(
            served > BOUND,
            "the result of {served} bytes came over the network, and is larger than the client may be"
        );
        assert!(self.peak > 0 && self.peak < BOUND, "the client took {} bytes at its peak", self.peak);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The client's reader stops, and the block service dies meanwhile.
#[test]
fn a_large_result_streams_through_a_small_client() {
    let cluster = TestCluster::start_logging_blocks(&[1]);
    let conf = ["hearth.shuffle.localRead=false", "spark.reducer.maxSizeInFlight=8m"];
    let mut client = Client::start(&cluster, &conf);
    assert!(client.read(4 << 20), "rows come");
    // The pipe is full and nothing is asked for any more; what was served until then is little more than what is in flight.
    let mut last = 0;
    eventually("the client asks for nothing more", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = cluster.bytes_served(0);
        let rests = now > 0 && now == std::mem::replace(&mut last, now);
        rests.then_some(())
    });
    assert!(last < 64 << 20, "{last} bytes were served to a client whose output nobody reads");
    let victim = cluster.block_service(0);
    signal(victim.pid, Signal::KILL);
    eventually("the worker has started another block service", || {
        cluster.block_services().iter().any(|service| service.pid != victim.pid).then_some(())
    });
    client.ends_right(&cluster);
    cluster.await_idle();
}

/// Nobody reads, and nobody will: what is asked to end ends.
#[test]
fn a_signal_ends_a_client_whose_reader_stopped() {
    for (asked, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = hearth()
            .args(["sql", "--master", "local[1]", "--format", "csv", "-e", "select * from tpch.sf0_01.lineitem"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let unread = child.stdout.take().expect("it is piped");
        // A pipe has room for 64 KiB; the result has megabytes.
        eventually("the pipe is full", || {
            let waiting = rustix::io::ioctl_fionread(&unread).expect("a pipe can be asked");
            (waiting > 60 << 10).then_some(())
        });
        signal(child.id(), asked);
        let status = eventually("the end of the client", || child.try_wait().expect("it can be waited for"));
        assert_eq!(status.code(), Some(code));
        drop(unread);
    }
}
