//! The folders that files write into.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    path::{Component, Path, PathBuf},
};

/// A file in a folder that was given for this: without it nothing there is removed.
const MARKER: &str = ".slt-scratch";

/// Where each file of a run finds an empty folder of its own.
#[derive(Clone, Debug)]
pub struct Scratch {
    /// By file.
    folders: BTreeMap<PathBuf, PathBuf>,
}

impl Scratch {
    /// Takes a folder for these files: one that is new, empty, or was taken before.
    pub fn take(dir: &Path, files: &[PathBuf]) -> Result<Self, String> {
        let failed = |e: io::Error| format!("{}: {e}", dir.display());
        fs::create_dir_all(dir).map_err(failed)?;
        let marker = dir.join(MARKER);
        if !marker.exists() {
            if fs::read_dir(dir).map_err(failed)?.next().is_some() {
                return Err(format!(
                    "--scratch {}: what is in it would be removed; give a folder that is new or empty, or make {} if it may be",
                    dir.display(),
                    marker.display()
                ));
            }
            File::create(&marker).map_err(failed)?;
        }
        let names = names(files)?;
        Ok(Self { folders: names.into_iter().map(|(file, name)| (file.to_owned(), dir.join(name))).collect() })
    }

    /// Empties a file's folder.
    pub(super) fn empty(&self, file: &Path) -> io::Result<()> {
        let Some(own) = self.folders.get(file) else { return Err(io::ErrorKind::NotFound.into()) };
        match fs::remove_dir_all(own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(own)
    }
}

/// The name of each file's folder: its own without the ending, as DataFusion's files expect. Where several have that, the whole
/// path, as they may run at once.
fn names(files: &[PathBuf]) -> Result<BTreeMap<&Path, String>, String> {
    let stem = |file: &Path| file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut count = BTreeMap::new();
    let files: BTreeSet<&Path> = files.iter().map(PathBuf::as_path).collect();
    for file in &files {
        *count.entry(stem(file)).or_insert(0) += 1;
    }
    let path = |file: &Path| {
        let parts = file.with_extension("");
        let parts = parts.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        });
        parts.collect::<Vec<_>>().join("-")
    };
    let name = |file: &Path| if count[&stem(file)] == 1 { stem(file) } else { path(file) };
    let names: BTreeMap<_, _> = files.into_iter().map(|file| (file, name(file))).collect();
    let mut taken = BTreeMap::new();
    for (file, name) in &names {
        if let Some(other) = taken.insert(name, file) {
            let (file, other) = (file.display(), other.display());
            return Err(format!("{other} and {file} would share the folder {name}; run them one after the other"));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_have_folders_of_their_own() {
        let files = ["t/copy.slt", "t/array.slt", "t/spark/array.slt"].map(PathBuf::from);
        let names = names(&files).unwrap();
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["t-array", "copy", "t-spark-array"]);
        let same = ["x.slt", "x.test"].map(PathBuf::from);
        assert!(super::names(&same).unwrap_err().contains("would share the folder x"));
    }

    #[test]
    fn a_folder_of_somebody_else_is_not_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("sales/precious");
        fs::create_dir(dir.path().join("sales")).unwrap();
        File::create(&precious).unwrap();
        let files = [PathBuf::from("sales.slt")];
        let refusal = Scratch::take(dir.path(), &files).unwrap_err();
        assert!(refusal.contains("would be removed") && precious.exists(), "{refusal}");
        // A new one is taken, and may be taken again with what files left in it.
        let new = dir.path().join("scratch");
        for _ in 0..2 {
            let scratch = Scratch::take(&new, &files).unwrap();
            scratch.empty(&files[0]).unwrap();
            assert_eq!(fs::read_dir(new.join("sales")).unwrap().count(), 0);
            File::create(new.join("sales/left")).unwrap();
        }
    }
}
