//! Local modes: clusters that live and die with one command.
//!
//! | mode | master | worker | executors | links |
//! |---|---|---|---|---|
//! | `local[N]` | in process | one, in process | one of N cores, in process | channels |
//! | `local-cluster[W,C,M]` | in process, listening | W, in process | real processes | gRPC on loopback |
//!
//! Machines and shells are those of a real cluster; nothing else here is special. All files lie in one temporary
//! directory, but that shuffle files and scratch are spread over one in each directory of `spark.local.dir` where it names
//! several. They go with the cluster; those of a program that was killed go when the next one is started.

mod cluster;
mod dial;
mod launcher;
mod threads;

pub(crate) use cluster::ClusterOfOurOwn;
pub(crate) use threads::Threads;

use crate::{Error, scratch::Scratch};
use hearth_core::conf::{Conf, keys};
use hearth_worker::shell::WorkerHandle;
use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::PathBuf};

/// The directories that shuffle files and scratch are spread over, where there are several. Dropping it removes them.
#[derive(Debug)]
struct Spread(Vec<Scratch>);

impl Spread {
    /// One in each directory that `spark.local.dir` names, unless it names no more than one. It is left out for as long as
    /// this lives where none can be made.
    ///
    /// # Errors
    /// When none can be made anywhere.
    fn make(conf: &Conf) -> Result<Self, Error> {
        let dirs = conf.get(&keys::LOCAL_DIR);
        if dirs.len() <= 1 {
            return Ok(Self(Vec::new()));
        }
        let (mut made, mut failure) = (Vec::new(), None);
        for dir in &dirs {
            // If it cannot be made, nothing can be made in it, and that is told.
            let _ = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            match Scratch::make(dir) {
                Ok(scratch) => made.push(scratch),
                Err(error) => {
                    tracing::warn!("{error}; it is left out");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(failure) if made.is_empty() => Err(failure),
            _ => Ok(Self(made)),
        }
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|scratch| scratch.path().to_owned()).collect()
    }
}

/// Waits until a worker of ours is registered with a master of ours.
async fn registered(worker: &mut WorkerHandle) -> Result<(), Error> {
    let mut registered = worker.registered();
    tokio::select! {
        Ok(_) = registered.wait_for(|times| *times > 0) => Ok(()),
        code = worker.wait() => Err(Error::NoWorker(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::{self, File},
        path::Path,
        time::{Duration, SystemTime},
    };

    fn names(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn conf(dirs: &[&Path]) -> Conf {
        let dirs: Vec<_> = dirs.iter().map(|dir| dir.to_str().unwrap()).collect();
        Conf::from_pairs([("spark.local.dir", dirs.join(","))]).unwrap()
    }

    #[test]
    fn what_a_killed_program_left_on_any_disk_goes_with_the_next_one() {
        let root = tempfile::tempdir().unwrap();
        let disks = ["d1", "d2"].map(|name| root.path().join(name));
        disks.iter().for_each(|disk| fs::create_dir(disk).unwrap());
        let conf = conf(&[&disks[0], &disks[1]]);
        // As a kill does: nothing is dropped, and nobody holds the locks.
        for disk in &disks {
            let left = disk.join("hearth-left");
            fs::create_dir_all(left.join("worker-1/app-1/shuffle")).unwrap();
            File::create(left.join("lock")).unwrap();
            File::open(&left).unwrap().set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        }
        let spread = Spread::make(&conf).unwrap();
        for (path, disk) in spread.paths().iter().zip(&disks) {
            assert_eq!(path.parent(), Some(disk.as_path()));
            assert_eq!(names(disk), [path.file_name().unwrap().to_str().unwrap()]);
        }
        drop(spread);
        assert!(disks.iter().all(|disk| names(disk).is_empty()));
    }

    #[test]
    fn a_disk_on_which_nothing_can_be_made_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let (bad, good) = (root.path().join("file/d1"), root.path().to_owned());
        let spread = Spread::make(&conf(&[&bad, &good])).unwrap();
        assert_eq!(spread.paths().len(), 1);
        let error = Spread::make(&conf(&[&bad, &bad])).unwrap_err().to_string();
        assert!(error.contains("file/d1") && error.contains("spark.local.dir"), "{error}");
        assert!(Spread::make(&conf(&[&bad])).unwrap().paths().is_empty(), "one is where all files lie");
    }

    #[tokio::test]
    async fn what_is_spread_lies_where_the_next_program_sweeps() {
        let root = tempfile::tempdir().unwrap();
        let disks = ["d1", "d2"].map(|name| root.path().join(name));
        let work = tempfile::tempdir().unwrap();
        let threads = Threads::start(&conf(&[&disks[0], &disks[1]]), Some(1), work.path()).await.unwrap();
        for disk in &disks {
            let [name] = &names(disk)[..] else { panic!("{:?}", names(disk)) };
            assert!(name.starts_with("hearth-"), "{name}");
            let inside = names(&disk.join(name));
            assert!(inside.iter().any(|name| name.starts_with("worker-")), "{inside:?}");
        }
        threads.stop().await;
        assert!(disks.iter().all(|disk| names(disk).is_empty()));
    }
}
