//! What applications that are over may have left behind on a cluster and its machine.

use super::super::{Process, TestCluster};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Names of the directories that go with an application, and of no others.
const OF_APPLICATIONS: [&str; 3] = ["shuffle", "blocks", "tmp"];

/// Daemons, and at how many ports each listens: a master by gRPC and HTTP, a block service by gRPC.
const DAEMONS: [(&str, usize); 3] = [("master", 2), ("worker", 0), ("blocks", 1)];

/// All that is left, for people; nothing when nothing is.
pub(super) fn of(cluster: &TestCluster, disks: &[PathBuf]) -> Vec<String> {
    let mut left = processes(cluster.dir());
    left.extend(files(cluster.dir()).iter().map(|path| path.display().to_string()));
    left.extend(entries(&cluster.driver_scratch()).iter().map(|path| path.display().to_string()));
    // On a disk each worker has a directory, and in it each application.
    let on_disks = disks.iter().flat_map(|disk| entries(disk)).flat_map(|of_worker| entries(&of_worker));
    left.extend(on_disks.map(|path| path.display().to_string()));
    left.extend(groups(&applications(cluster.dir())).iter().map(|path| path.display().to_string()));
    let used = cluster.status().workers.iter().map(|worker| worker.used.cores).sum::<u32>();
    left.extend((used > 0).then(|| format!("{used} cores in use")));
    left
}

/// Processes that are no daemons, and daemons that listen where they did not when they started.
fn processes(dir: &Path) -> Vec<String> {
    let listening = listening();
    let mut left = Vec::new();
    for Process { pid, command, .. } in Process::below(dir) {
        let role = command.split(' ').nth(1).unwrap_or_default();
        let Some((_, ports)) = DAEMONS.iter().find(|(daemon, _)| *daemon == role) else {
            left.push(format!("process {pid}: {command}"));
            continue;
        };
        let sockets = sockets(pid).intersection(&listening).count();
        left.extend((sockets > *ports).then(|| format!("process {pid} listens at {sockets} ports: {command}")));
    }
    left
}

/// The sockets of this machine that listen, by their inodes.
fn listening() -> BTreeSet<String> {
    const LISTEN: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let rows = lines.map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(3) == Some(&LISTEN)).filter_map(|row| Some((*row.get(9)?).to_owned())).collect()
}

/// The sockets that a process has, by their inodes.
fn sockets(pid: u32) -> BTreeSet<String> {
    let links = entries(Path::new(&format!("/proc/{pid}/fd"))).into_iter().filter_map(|fd| fs::read_link(fd).ok());
    let inode = |link: PathBuf| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    links.filter_map(inode).collect()
}

/// Control groups that are called after one of these.
fn groups(names: &BTreeSet<String>) -> Vec<PathBuf> {
    /// As deep as groups of services lie in those of slices, and one more.
    const DEPTH: usize = 5;
    let mut found = Vec::new();
    let mut level = vec![PathBuf::from("/sys/fs/cgroup")];
    for _ in 0..DEPTH {
        level = level.iter().flat_map(|dir| entries(dir)).filter(|path| path.is_dir() && !path.is_symlink()).collect();
        let is_named = |path: &&PathBuf| names.iter().any(|name| path.to_string_lossy().contains(name));
        found.extend(level.iter().filter(is_named).cloned());
    }
    found
}

/// The applications that ever had an executor on this cluster.
fn applications(dir: &Path) -> BTreeSet<String> {
    let of_workers = entries(dir).into_iter().flat_map(|worker| entries(&worker));
    let names = of_workers.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.filter(|name| name.starts_with("app-")).collect()
}

/// Map outputs, whole and half-written, what operators spilled, and the directories that these were in.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, is_of_application: bool, found: &mut Vec<PathBuf>) {
        for path in entries(dir) {
            let is_dir = path.is_dir() && !path.is_symlink();
            let name = path.file_name().unwrap_or_default();
            let is = is_of_application || is_dir && OF_APPLICATIONS.iter().any(|of| name == *of);
            if is_dir {
                walk(&path, is, found);
            }
            if is {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, false, &mut found);
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, os::fd::AsRawFd};

    #[test]
    fn files_of_applications_are_found_with_their_directories() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("worker-0/app-1/shuffle")).unwrap();
        fs::create_dir_all(dir.path().join("worker-0/app-1/0")).unwrap();
        fs::write(dir.path().join("worker-0/app-1/0/stderr"), "log").unwrap();
        let shuffle = dir.path().join("worker-0/app-1/shuffle");
        assert_eq!(files(dir.path()), [shuffle.as_path()]);
        fs::write(shuffle.join("shuffle_0_0_0.data"), "rows").unwrap();
        assert_eq!(files(dir.path()), [shuffle.join("shuffle_0_0_0.data"), shuffle]);
        assert_eq!(applications(dir.path()), BTreeSet::from(["app-1".to_owned()]));
    }

    #[test]
    fn a_socket_that_listens_is_found_at_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let inode = link.to_str().unwrap().trim_start_matches("socket:[").trim_end_matches(']').to_owned();
        let listens = || sockets(std::process::id()).intersection(&listening()).any(|socket| *socket == inode);
        assert!(listens());
        drop(listener);
        assert!(!listens());
    }
}
