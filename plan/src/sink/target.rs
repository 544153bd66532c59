//! Where a write goes.

use super::spec::StagingPlace;
use crate::{
    PlanError,
    store::{Provider, StoreUrl},
};
use std::{
    fmt,
    path::{Path, PathBuf},
};
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

impl Kind {
    /// What is said when there is something already.
    pub(super) const fn exists(self) -> &'static str {
        match self {
            Self::File => FILE_EXISTS,
            Self::NewFolder | Self::Append => FOLDER_EXISTS,
        }
    }
}

/// A file, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path of this machine.
    Files(PathBuf),
    /// In an object store, without a slash at its end.
    Objects(Url),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(path) => path.display().fmt(f),
            Self::Objects(url) => url.fmt(f),
        }
    }
}

/// Where a write goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// The folder for what is not visible yet. Readers of tables skip names that begin with `_`.
const TEMPORARY: &str = "_temporary";

impl Target {
    /// What the text of a COPY names: a file if its name has an extension and no `/` follows it, else a folder; or
    /// what `single_file` says.
    pub(crate) fn parse(text: &str, single_file: Option<bool>) -> Result<Self, PlanError> {
        let wrong = |what: String| PlanError::Query(format!("{text:?} cannot be written to: {what}"));
        let place = match Url::parse(text) {
            Ok(url) => Place::of(&url).map_err(wrong)?,
            Err(_) if text.is_empty() => return Err(wrong("the path is empty".into())),
            // Without a / at its end, by which a file would not be found.
            Err(_) => Place::Files(std::path::absolute(text).map_err(|e| wrong(e.to_string()))?.components().collect()),
        };
        let name = place.name().ok_or_else(|| wrong("its last part is no name in UTF-8".into()))?;
        let has_extension = name.rsplit_once('.').is_some_and(|(_, extension)| !extension.is_empty());
        let is_file = single_file.unwrap_or(has_extension && !text.ends_with('/'));
        Ok(Self { place, kind: if is_file { Kind::File } else { Kind::NewFolder } })
    }

    /// More files in a folder.
    pub(crate) fn append(url: &Url) -> Result<Self, PlanError> {
        let place = Place::of(url).map_err(|e| PlanError::Query(format!("{url} cannot be inserted into: {e}")))?;
        Ok(Self { place, kind: Kind::Append })
    }

    /// A new folder of this machine.
    pub(crate) const fn new_folder(path: PathBuf) -> Self {
        Self { place: Place::Files(path), kind: Kind::NewFolder }
    }

    /// Refuses what is known to fail before anything runs. What lies in object stores is looked at when the write begins.
    pub(crate) fn check(&self) -> Result<(), PlanError> {
        let Place::Files(path) = &self.place else { return Ok(()) };
        match obstacle(path, self.kind) {
            Some(what) => Err(PlanError::input(path, what)),
            None => Ok(()),
        }
    }

    /// Where the tasks of `write` leave their files.
    pub(crate) fn staging(&self, write: &str) -> Result<StagingPlace, PlanError> {
        Ok(match &self.place {
            Place::Files(path) => {
                let folder = staging(path, self.kind, write);
                let text = folder.to_str().ok_or_else(|| PlanError::input(path, "the path is not UTF-8"))?;
                StagingPlace::Folder(text.to_owned())
            }
            Place::Objects(url) if self.kind == Kind::File => {
                let mut folder = url.clone();
                // Object stores have bases.
                if let Ok(mut parts) = folder.path_segments_mut() {
                    parts.pop();
                }
                StagingPlace::Objects(folder.into())
            }
            Place::Objects(url) => StagingPlace::Objects(url.to_string()),
        })
    }

    /// The name of the only file.
    pub(crate) fn file_name(&self) -> Option<String> {
        self.place.name().filter(|_| self.kind == Kind::File)
    }
}

impl Place {
    fn of(url: &Url) -> Result<Self, String> {
        if url.query().is_some() || url.fragment().is_some() {
            return Err("in a URL, ? and # of a name are written %3F and %23".to_owned());
        }
        match StoreUrl::of(url).map_err(|e| e.to_string())?.provider {
            Provider::Files => {
                let path = url.to_file_path().map_err(|()| "it is no path of this machine".to_owned())?;
                Ok(Self::Files(path.components().collect()))
            }
            Provider::Http => Err("HTTP servers are read only".to_owned()),
            Provider::S3 | Provider::Gcs | Provider::Azure => {
                let mut url = url.clone();
                object_path(&url)?;
                if let Ok(mut parts) = url.path_segments_mut() {
                    parts.pop_if_empty();
                }
                Ok(Self::Objects(url))
            }
        }
    }

    /// Its last part.
    fn name(&self) -> Option<String> {
        match self {
            Self::Files(path) => Some(path.file_name()?.to_str()?.to_owned()),
            Self::Objects(url) => Some(object_path(url).ok()?.filename()?.to_owned()),
        }
    }
}

/// What a URL calls an object, or a folder of objects, in its store.
pub(super) fn object_path(url: &Url) -> Result<object_store::path::Path, String> {
    object_store::path::Path::from_url_path(url.path()).map_err(|e| e.to_string())
}

/// What is in the way of a write of this kind to a path.
pub(super) fn obstacle(path: &Path, kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::File if path.is_dir() => Some(IS_FOLDER),
        Kind::File if is_there(path) => Some(FILE_EXISTS),
        Kind::NewFolder | Kind::Append if is_there(path) && !path.is_dir() => Some(IS_FILE),
        Kind::NewFolder if std::fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_some()) => {
            Some(FOLDER_EXISTS)
        }
        _ => None,
    }
}

/// The folder below which files wait for the commit: on the file system of the target, so that a rename is all that a
/// commit takes.
pub(super) fn temporary(path: &Path, kind: Kind) -> PathBuf {
    match kind {
        Kind::Append => path.join(TEMPORARY),
        Kind::NewFolder if stands_apart(path) => path.join(TEMPORARY),
        // There is a last part, so there is one before it.
        Kind::File | Kind::NewFolder => path.parent().unwrap_or(path).join(TEMPORARY),
    }
}

/// Whether an empty folder is another file system's, or only the name of one elsewhere: no rename can put another in its place.
fn stands_apart(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(own), Some(Ok(above))) = (path.symlink_metadata(), path.parent().map(Path::metadata)) else { return false };
    own.is_symlink() || own.is_dir() && own.dev() != above.dev()
}

/// That of one write.
pub(super) fn staging(path: &Path, kind: Kind, write: &str) -> PathBuf {
    temporary(path, kind).join(write)
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
        assert_eq!(spaced, Target { place: Place::Files("/tmp/with space/x.csv".into()), kind: Kind::File });
        let relative = Target::parse("out/x.csv", None).unwrap().place;
        assert!(matches!(relative, Place::Files(path) if path.is_absolute()));
    }

    #[test]
    fn a_place_in_a_store_is_named_by_its_url() {
        for (text, place, kind, staging, name) in [
            ("s3://b/a/x.csv", "s3://b/a/x.csv", Kind::File, "s3://b/a", Some("x.csv")),
            ("s3://b/x.csv", "s3://b/x.csv", Kind::File, "s3://b/", Some("x.csv")),
            ("gs://b/a%20b/", "gs://b/a%20b", Kind::NewFolder, "gs://b/a%20b", None),
            ("abfss://c@h/x", "abfss://c@h/x", Kind::NewFolder, "abfss://c@h/x", None),
        ] {
            let target = Target::parse(text, None).unwrap();
            assert_eq!((target.place.to_string(), target.kind), (place.to_owned(), kind), "{text}");
            assert_eq!(target.staging("w").unwrap(), StagingPlace::Objects(staging.to_owned()), "{text}");
            assert_eq!(target.file_name().as_deref(), name, "{text}");
        }
        assert_eq!(object_path(&Url::parse("gs://b/a%20b/").unwrap()).unwrap().as_ref(), "a b");
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        for (text, word) in [
            ("", "empty"),
            ("/", "no name"),
            ("https://h/x.csv", "read only"),
            ("ftp://h/x", "ftp:"),
            ("s3://b", "no name"),
            ("s3://b/run#1/", "%23"),
        ] {
            let error = Target::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_in_the_way_is_seen_before_anything_runs() {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str, kind| Target { place: Place::Files(dir.path().join(name)), kind };
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
            assert_eq!(super::obstacle(&dir.path().join(name), kind), obstacle, "{name} {kind:?}");
            assert_eq!(target(name, kind).check().is_err(), obstacle.is_some());
        }
    }
}
