//! Where a write goes.

use crate::PlanError;
use std::path::{Path, PathBuf};
use url::Url;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One file, which is not there yet.
    File,
    /// A folder, which is not there yet, or empty.
    NewFolder,
    /// More files in a folder.
    Append,
}

/// Where a write goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
}

/// The folder for what is not visible yet. Readers of tables skip names that begin with `_`.
const TEMPORARY: &str = "_temporary";

impl Target {
    /// What the text of a COPY names: a file if its name has an extension and no `/` follows it, else a folder; or
    /// what `single_file` says.
    pub(crate) fn parse(text: &str, single_file: Option<bool>) -> Result<Self, PlanError> {
        let wrong = |what: String| PlanError::Query(format!("{text:?} cannot be written to: {what}"));
        let path = match Url::parse(text) {
            Ok(url) => local(&url).map_err(wrong)?,
            Err(_) if text.is_empty() => return Err(wrong("the path is empty".into())),
            Err(_) => std::path::absolute(text).map_err(|e| wrong(e.to_string()))?,
        };
        // Without a / at its end, by which a file would not be found.
        let path: PathBuf = path.components().collect();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| wrong("its last part is no name in UTF-8".into()))?;
        let has_extension = name.rsplit_once('.').is_some_and(|(_, extension)| !extension.is_empty());
        let is_file = single_file.unwrap_or(has_extension && !text.ends_with('/'));
        Ok(Self { path, kind: if is_file { Kind::File } else { Kind::NewFolder } })
    }

    /// More files in a folder.
    pub(crate) fn append(url: &Url) -> Result<Self, PlanError> {
        let path = local(url).map_err(|e| PlanError::Unsupported(format!("inserting into {url} ({e})")))?;
        Ok(Self { path: path.components().collect(), kind: Kind::Append })
    }

    /// Refuses what is known to fail before anything runs.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        match self.obstacle() {
            Some(what) => Err(PlanError::input(&self.path, what)),
            None => Ok(()),
        }
    }

    /// What is in the way.
    pub(super) fn obstacle(&self) -> Option<&'static str> {
        let path = &self.path;
        match self.kind {
            Kind::File if path.is_dir() => Some(IS_FOLDER),
            Kind::File if is_there(path) => Some(FILE_EXISTS),
            Kind::NewFolder | Kind::Append if is_there(path) && !path.is_dir() => Some(IS_FILE),
            Kind::NewFolder if std::fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_some()) => {
                Some(FOLDER_EXISTS)
            }
            _ => None,
        }
    }

    /// The folder below which files wait for the commit: on the file system of the target, so that a rename is all
    /// that a commit takes.
    pub(super) fn temporary(&self) -> PathBuf {
        match self.kind {
            Kind::Append => self.path.join(TEMPORARY),
            // There is a last part, so there is one before it.
            Kind::File | Kind::NewFolder => self.path.parent().unwrap_or(&self.path).join(TEMPORARY),
        }
    }

    /// That of one write.
    pub(crate) fn staging(&self, write: &str) -> PathBuf {
        self.temporary().join(write)
    }

    /// The name of the only file.
    pub(crate) fn file_name(&self) -> Option<String> {
        let name = self.path.file_name().filter(|_| self.kind == Kind::File)?;
        Some(name.to_string_lossy().into_owned())
    }
}

pub(super) const FILE_EXISTS: &str = "the file exists already; remove it first, or write to another name";
pub(super) const FOLDER_EXISTS: &str =
    "the folder exists already and is not empty; remove what is in it, or write to another name";
const IS_FOLDER: &str = "this is a folder, where one file is to be written; end the path with / to write a folder";
const IS_FILE: &str = "this is a file, where a folder is to be written";

/// Also when it is a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn local(url: &Url) -> Result<PathBuf, String> {
    match url.scheme() {
        "file" => url.to_file_path().map_err(|()| "it is no path of this machine".to_owned()),
        "http" | "https" => Err("HTTP servers are read only".to_owned()),
        scheme => Err(format!("writing to {scheme}:// is not supported yet; write to a path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_an_extension_is_a_file() {
        let kind = |text: &str, single| Target::parse(text, single).unwrap().kind;
        assert_eq!(kind("/tmp/a.parquet", None), Kind::File);
        assert_eq!(kind("/tmp/a.parquet/", None), Kind::NewFolder);
        assert_eq!(kind("/tmp/a", None), Kind::NewFolder);
        assert_eq!(kind("/tmp/a.", None), Kind::NewFolder);
        assert_eq!(kind("/tmp/a", Some(true)), Kind::File);
        assert_eq!(kind("/tmp/a.csv", Some(false)), Kind::NewFolder);
        let spaced = Target::parse("file:///tmp/with%20space/x.csv", None).unwrap();
        assert_eq!((spaced.path, spaced.kind), (PathBuf::from("/tmp/with space/x.csv"), Kind::File));
        assert!(Target::parse("out/x.csv", None).unwrap().path.is_absolute());
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        for (text, word) in [("", "empty"), ("/", "no name"), ("https://h/x.csv", "read only"), ("ftp://h/x", "ftp://")]
        {
            let error = Target::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_seen_before_anything_runs() {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str, kind| Target { path: dir.path().join(name), kind };
        std::fs::create_dir_all(dir.path().join("full/x")).unwrap();
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        for (name, kind, obstacle) in [
            ("file", Kind::File, Some(FILE_EXISTS)),
            ("link", Kind::File, Some(FILE_EXISTS)),
            ("full", Kind::File, Some(IS_FOLDER)),
            ("new", Kind::File, None),
            ("file", Kind::NewFolder, Some(IS_FILE)),
            ("full", Kind::NewFolder, Some(FOLDER_EXISTS)),
            ("empty", Kind::NewFolder, None),
            ("new", Kind::NewFolder, None),
            ("file", Kind::Append, Some(IS_FILE)),
            ("full", Kind::Append, None),
            ("new", Kind::Append, None),
        ] {
            assert_eq!(target(name, kind).obstacle(), obstacle, "{name} {kind:?}");
            assert_eq!(target(name, kind).check().is_err(), obstacle.is_some());
        }
    }
}
