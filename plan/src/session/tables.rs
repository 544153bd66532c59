//! Files as tables: every file, or folder of parts, in one directory.

use super::SqlSession;
use crate::PlanError;
use datafusion::{
    common::TableReference,
    datasource::{
        file_format::{FileFormat, csv::CsvFormat, json::JsonFormat, parquet::ParquetFormat},
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Files that one table may have parts in: listing more takes longer than anybody waits for.
const MAX_PARTS: usize = 100_000;

/// The formats that files can have, by their extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Parquet,
    Csv,
    Json,
}

impl Format {
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "parquet" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "json" | "ndjson" | "jsonl" => Some(Self::Json),
            _ => None,
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Parquet => "expected a Parquet file, which begins and ends with \"PAR1\"",
            Self::Csv => "expected CSV with a header line",
            Self::Json => "expected JSON, one object a line",
        }
    }

    fn options(self, extension: &str) -> ListingOptions {
        let format: Arc<dyn FileFormat> = match self {
            Self::Parquet => Arc::new(ParquetFormat::default()),
            Self::Csv => Arc::new(CsvFormat::default().with_has_header(true)),
            Self::Json => Arc::new(JsonFormat::default()),
        };
        ListingOptions::new(format).with_file_extension(format!(".{extension}"))
    }
}

/// A table that was found.
struct Found {
    /// The file, or the folder.
    path: PathBuf,
    format: Format,
    extension: String,
}

impl SqlSession {
    /// Registers every Parquet, CSV (with a header line) or JSON (one object a line) file in `dir`, and every folder of
    /// such files, as a table named like it, without its extension. Gives the names, sorted.
    pub async fn register_tables(&self, dir: &Path) -> Result<Vec<String>, PlanError> {
        let wrong = |message: &str| PlanError::input(dir, message);
        if !dir.is_dir() {
            let what = if dir.exists() { "not a directory" } else { "no such directory" };
            return Err(wrong(&format!("{what}; expected a directory of Parquet, CSV or JSON files")));
        }
        let dir = fs::canonicalize(dir).map_err(|e| wrong(&e.to_string()))?;
        let found = find_tables(&dir)?;
        if found.is_empty() {
            return Err(wrong("no Parquet (.parquet), CSV (.csv) or JSON (.json, .ndjson, .jsonl) file in it"));
        }
        for (name, table) in &found {
            self.register_table(name, table).await?;
        }
        Ok(found.into_keys().collect())
    }

    async fn register_table(&self, name: &str, table: &Found) -> Result<(), PlanError> {
        let describe = |e: datafusion::error::DataFusionError| {
            PlanError::input(&table.path, format!("{}: {}", table.format.expected(), e.strip_backtrace()))
        };
        let path = table.path.to_str().ok_or_else(|| PlanError::input(&table.path, "the path is not UTF-8"))?;
        if let Some(glob) = path.chars().find(|c| "?*[".contains(*c)) {
            let message = format!("a path with {glob:?} reads as a pattern of several; rename it");
            return Err(PlanError::input(&table.path, message));
        }
        let url = ListingTableUrl::parse(path).map_err(describe)?;
        let options = table.format.options(&table.extension);
        let schema = options.infer_schema(&self.context.state(), &url).await.map_err(describe)?;
        if schema.fields().is_empty() {
            return Err(PlanError::input(&table.path, format!("no columns; {}", table.format.expected())));
        }
        let config = ListingTableConfig::new(url).with_listing_options(options).with_schema(schema);
        let listing = ListingTable::try_new(config).map_err(describe)?;
        let listing = listing.with_cache(self.context.runtime_env().cache_manager.get_file_statistic_cache());
        self.context.register_table(TableReference::bare(name), Arc::new(listing)).map_err(describe)?;
        Ok(())
    }
}

/// What lies in a directory, sorted; hidden entries and those that begin with `_` are nobody's data.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, PlanError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".")
                && !entry.file_name().as_encoded_bytes().starts_with(b"_")
            {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(|e| PlanError::input(dir, e.to_string()))
}

fn find_tables(dir: &Path) -> Result<BTreeMap<String, Found>, PlanError> {
    let mut tables: BTreeMap<String, Found> = BTreeMap::new();
    for path in entries(dir)? {
        let table = if path.is_dir() { find_parts(&path)? } else { find_file(&path)? };
        let Some(table) = table else { continue };
        let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
        let name = name.unwrap_or_default().to_string_lossy().into_owned();
        if let Some(other) = tables.insert(name.clone(), table) {
            let message = format!("both it and {} would be table {name}; rename one", other.path.display());
            return Err(PlanError::input(path, message));
        }
    }
    Ok(tables)
}

fn find_file(path: &Path) -> Result<Option<Found>, PlanError> {
    let Some(format) = Format::of(path) else {
        tracing::warn!(path = %path.display(), "skipped: not a .parquet, .csv, .json, .ndjson or .jsonl file");
        return Ok(None);
    };
    check(path, format)?;
    Ok(Some(Found { path: path.to_path_buf(), format, extension: extension_of(path) }))
}

/// A folder whose files are the parts of one table.
fn find_parts(dir: &Path) -> Result<Option<Found>, PlanError> {
    let mut extension: Option<(String, Format)> = None;
    let mut parts = 0_usize;
    for path in entries(dir)? {
        let Some(format) = Format::of(&path).filter(|_| path.is_file()) else { continue };
        let own = extension_of(&path);
        let (first, _) = extension.get_or_insert_with(|| (own.clone(), format));
        if *first != own {
            let message = format!("parts of one table have one extension, but there are .{first} and .{own} files");
            return Err(PlanError::input(dir, message));
        }
        check(&path, format)?;
        parts += 1;
        if parts > MAX_PARTS {
            return Err(PlanError::input(dir, format!("more than {MAX_PARTS} parts; merge small ones")));
        }
    }
    match extension {
        Some((extension, format)) => Ok(Some(Found { path: dir.to_path_buf(), format, extension })),
        None => {
            tracing::warn!(path = %dir.display(), "skipped: a folder without Parquet, CSV or JSON files");
            Ok(None)
        }
    }
}

fn extension_of(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().into_owned()
}

const PARQUET_MAGIC: &[u8; 4] = b"PAR1";
/// Magic, length of the footer, magic.
const SMALLEST_PARQUET: u64 = 12;

/// The bytes of a file that tell whether it can be Parquet; zeros when it is shorter than any Parquet file.
#[derive(Default)]
struct Ends {
    length: u64,
    first: [u8; 4],
    footer_length: [u8; 4],
    last: [u8; 4],
}

impl Ends {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut ends = Self { length: file.metadata()?.len(), ..Self::default() };
        if ends.length >= SMALLEST_PARQUET {
            file.read_exact(&mut ends.first)?;
            file.seek(SeekFrom::End(-8))?;
            file.read_exact(&mut ends.footer_length)?;
            file.read_exact(&mut ends.last)?;
        }
        Ok(ends)
    }
}

/// Looks at a file's ends, so that it is named when it is not what its name says.
fn check(path: &Path, format: Format) -> Result<(), PlanError> {
    let wrong = |what: &str| PlanError::input(path, format!("{what}; {}", format.expected()));
    let ends = Ends::of(path).map_err(|e| wrong(&e.to_string()))?;
    // The reader of Parquet takes this length as it is.
    let footer = u64::from(u32::from_le_bytes(ends.footer_length));
    match format {
        _ if ends.length == 0 => Err(wrong("the file is empty")),
        Format::Parquet if &ends.first != PARQUET_MAGIC => Err(wrong("not a Parquet file")),
        Format::Parquet if &ends.last != PARQUET_MAGIC => Err(wrong("the file is cut off")),
        Format::Parquet if footer > ends.length - SMALLEST_PARQUET => {
            Err(wrong("its footer is said to be longer than the file"))
        }
        Format::Csv | Format::Json if &ends.first == PARQUET_MAGIC => Err(wrong("this is a Parquet file")),
        _ => Ok(()),
    }
}
