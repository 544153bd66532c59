//! The files of a table: which, of what format, in which partitions.

use super::{
    check,
    kind::{EXTENSIONS, Kind, Named, is_hidden},
    wrong,
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{Result, TableReference, config_datafusion_err},
    datasource::{file_format::FileFormat, listing::ListingTableUrl},
    execution::session_state::SessionState,
};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore};
use std::{collections::HashMap, sync::Arc};

/// Files that one table may have: listing more takes longer than anybody waits for.
const MAX_FILES: usize = 1_000_000;
/// Files that a message names.
const NAMED: usize = 3;

/// The files of a table.
pub(super) struct Files {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) named: Named,
    /// As they will be listed again by each query.
    roots: Vec<ListingTableUrl>,
    /// With the root that each lies in.
    pub(super) files: Vec<(usize, ObjectMeta)>,
}

impl Files {
    /// Lists the files in `roots`, of the format that is said or else of the one that they have. There may be none when
    /// the format is said.
    pub(super) async fn list(
        state: &SessionState,
        roots: &[ListingTableUrl],
        said: Option<Kind>,
        compression: Option<&String>,
    ) -> Result<Self> {
        let first = roots.first().ok_or_else(|| config_datafusion_err!("a table has at least one location"))?;
        let store = state.runtime_env().object_store(first)?;
        let mut files = Vec::new();
        for (place, root) in roots.iter().enumerate() {
            let mut listed = root.list_all_files(state, store.as_ref(), "").await?;
            while let Some(file) = listed.try_next().await? {
                let hidden = root.strip_prefix(&file.location).is_some_and(|mut parts| parts.any(is_hidden));
                if !hidden {
                    files.push((place, file));
                }
                if files.len() > MAX_FILES {
                    return Err(wrong(root, format!("more than {MAX_FILES} files; merge small ones")));
                }
            }
        }
        files.sort_by(|(_, a), (_, b)| a.location.cmp(&b.location));
        let described = describe(roots);
        let named = match said {
            Some(kind) => named_as(&described, kind, compression, &files)?,
            None => Some(named_alike(&described, &files)?),
        };
        // Without an ending of its own, every file counts.
        let fallback = || Named { kind: said.unwrap_or(Kind::Csv), compression: None, ending: String::new() };
        let named = named.unwrap_or_else(fallback);
        files.retain(|(_, file)| file.location.as_ref().ends_with(&named.ending));
        let roots = roots.iter().map(|root| visible(root, &named.ending)).collect::<Result<_>>()?;
        let files = Self { store, named, roots, files };
        files.check_sizes()?;
        Ok(files)
    }

    /// Files without a byte have no rows, if their format lets them; and not all of them can be without.
    fn check_sizes(&self) -> Result<()> {
        let empty = self.files.iter().find(|(_, file)| file.size == 0);
        let Some((place, file)) = empty else { return Ok(()) };
        if self.named.kind.is_text() && self.files.iter().any(|(_, file)| file.size > 0) {
            return Ok(());
        }
        Err(wrong(self.url(*place, file), format!("the file is empty; {}", self.named.kind.expected())))
    }

    /// What the files are called in messages.
    pub(super) fn describe(&self) -> String {
        describe(&self.roots)
    }

    /// A file's URL, or the path of one on this machine.
    pub(super) fn url(&self, place: usize, file: &ObjectMeta) -> String {
        check::url(&self.roots[place], &file.location)
    }

    /// What the names of all files end with.
    pub(super) fn extension(&self) -> &str {
        &self.named.ending
    }

    /// Where queries look for files. What is known of the files is kept by the name, which tells stores apart.
    pub(super) fn roots(&self, name: Option<&TableReference>) -> Result<Vec<ListingTableUrl>> {
        let named = |root: &ListingTableUrl| {
            let name = name.cloned().unwrap_or_else(|| TableReference::bare(root.as_str()));
            Ok(root.clone().with_table_ref(name))
        };
        self.roots.iter().map(named).collect()
    }

    /// The format, with the options that are said. `options` are left with what was found out.
    pub(super) fn format(
        &self,
        state: &SessionState,
        options: &mut HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        let Named { kind, compression, .. } = &self.named;
        if let Some(compression) = compression {
            options.entry("format.compression".into()).or_insert_with(|| compression.clone());
        }
        if *kind == Kind::Tsv {
            options.entry("format.delimiter".into()).or_insert_with(|| "\t".into());
        }
        let factory = state.get_file_format_factory(kind.factory());
        let factory = factory.ok_or_else(|| config_datafusion_err!("{} files cannot be read", kind.factory()))?;
        factory.create(state, options)
    }

    /// The columns in the names of folders, and their types: whole numbers, or text.
    pub(super) fn partitions(&self) -> Result<Vec<(String, DataType)>> {
        let mut columns: Option<Vec<(String, bool)>> = None;
        for (place, file) in &self.files {
            let Some(parts) = self.roots[*place].strip_prefix(&file.location) else { continue };
            let mut parts: Vec<_> = parts.collect();
            // The file's own name is none of a folder.
            parts.pop();
            let own: Vec<_> = parts.iter().filter_map(|part| part.split_once('=')).collect();
            let known = columns.get_or_insert_with(|| own.iter().map(|(k, _)| ((*k).to_owned(), true)).collect());
            if !known.iter().map(|(name, _)| name.as_str()).eq(own.iter().map(|(name, _)| *name)) {
                let names = |n: &mut dyn Iterator<Item = &str>| n.collect::<Vec<_>>().join(", ");
                let (own, known) =
                    (names(&mut own.iter().map(|o| o.0)), names(&mut known.iter().map(|k| k.0.as_str())));
                let message =
                    format!("it lies in folders for [{own}], and others of the table in folders for [{known}]");
                return Err(wrong(self.url(*place, file), message));
            }
            for ((_, numbers), (_, value)) in known.iter_mut().zip(&own) {
                // Folders are found again by the number's own form, which 01 is not.
                *numbers &= value.parse::<i64>().is_ok_and(|number| number.to_string() == *value);
            }
        }
        let text = || DataType::Dictionary(Box::new(DataType::UInt16), Box::new(DataType::Utf8));
        let typed = |(name, numbers)| (name, if numbers { DataType::Int64 } else { text() });
        Ok(columns.unwrap_or_default().into_iter().map(typed).collect())
    }
}

fn describe(roots: &[ListingTableUrl]) -> String {
    let mut text = roots.iter().take(NAMED).map(|root| check::url(root, root.prefix())).collect::<Vec<_>>().join(", ");
    if roots.len() > NAMED {
        text.push_str(", …");
    }
    text
}

/// The folder, without what is hidden in it and what has another ending. A pattern does that by itself.
fn visible(root: &ListingTableUrl, ending: &str) -> Result<ListingTableUrl> {
    if !root.is_collection() || root.get_glob().is_some() {
        return Ok(root.clone());
    }
    root.clone().with_glob(&format!("[!._]*{ending}"))
}

/// The one format that files have by their names.
fn named_alike(described: &str, files: &[(usize, ObjectMeta)]) -> Result<Named> {
    let mut found: Option<(Named, &ObjectMeta)> = None;
    for (_, file) in files {
        let Some(named) = file.location.filename().and_then(Named::of) else { continue };
        match &found {
            Some((first, _)) if *first == named => {}
            Some((first, one)) => {
                let message = format!(
                    "the files of one table have one extension, but there are {} ({}) and {} ({}); name some of them by a \
                     pattern such as *{}",
                    first.ending, one.location, named.ending, file.location, first.ending
                );
                return Err(wrong(described, message));
            }
            None => found = Some((named, file)),
        }
    }
    if let Some((named, _)) = found {
        return Ok(named);
    }
    let message = match files {
        [] => format!("no files; there should be some that end with {EXTENSIONS}"),
        [(_, file), ..] => format!("{} has no ending that tells its format: {EXTENSIONS}", file.location),
    };
    Err(wrong(described, message))
}

/// The files of a format that was said: those with its ending, or, if none has one, all of them.
fn named_as(
    described: &str,
    kind: Kind,
    compression: Option<&String>,
    files: &[(usize, ObjectMeta)],
) -> Result<Option<Named>> {
    let of_kind: Vec<_> = files
        .iter()
        .filter(|(_, file)| {
            let named = file.location.filename().and_then(Named::of);
            named.is_some_and(|named| named.kind == kind && (compression.is_none() || named.compression.is_some()))
        })
        .cloned()
        .collect();
    if of_kind.is_empty() { Ok(None) } else { named_alike(described, &of_kind).map(Some) }
}
