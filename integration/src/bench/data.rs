//! The Parquet files: made once, kept in a cache.
//!
//! One file a table, Snappy, row groups of about 7 MiB: what the generator's own command line, `tpchgen-cli`, makes unless
//! told otherwise. Other properties are the writer's defaults.

use crate::{
    failure::{Doing, Failure},
    say,
};
use datafusion::arrow::{datatypes::SchemaRef, error::ArrowError, record_batch::RecordBatch};
use datafusion::parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// All tables, the largest first.
const TABLES: [&str; 8] = ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"];

/// Bytes of a row group.
const ROW_GROUP_BYTES: usize = 7 << 20;

/// Where everything that is kept from run to run lies: below `XDG_CACHE_HOME`, or `~/.cache`.
pub(crate) fn cache() -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")));
    let base = base.ok_or_else(|| Failure::new("there is no place for a cache: set XDG_CACHE_HOME"))?;
    Ok(base.join("hearth-bench"))
}

/// What a folder is called in which tables are being made, and the file in it that is locked meanwhile.
const MAKING: &str = ".making-";
const LOCK: &str = "lock";
/// A folder this young may not be locked yet by the program that makes it.
const SETTLED: Duration = Duration::from_secs(60);

/// The files of all tables at this scale, made if they are not there. Stops between two batches of rows, and leaves nothing,
/// once `stop` is set.
pub(crate) fn tables(cache: &Path, scale: f64, stop: &AtomicBool) -> Result<Vec<PathBuf>, Failure> {
    let dir = cache.join("tpch").join(format!("sf{scale}"));
    let files = |dir: &Path| TABLES.iter().map(|table| dir.join(format!("{table}.parquet"))).collect();
    if dir.exists() {
        return Ok(files(&dir));
    }
    let parent = dir.parent().unwrap_or(cache);
    fs::create_dir_all(parent).doing(parent.display())?;
    sweep(parent);
    say::remark(&format!("making the tables at scale {scale} in {}", dir.display()));
    // Renamed when all are there: half a table is never taken for one. Removed when something fails.
    let temporary = tempfile::Builder::new().prefix(MAKING).tempdir_in(parent).doing(parent.display())?;
    let lock = temporary.path().join(LOCK);
    let held = File::create(&lock).doing(lock.display())?;
    held.lock().doing(lock.display())?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(TABLES.len());
    let next = AtomicUsize::new(0);
    let one_after_another = || -> Result<(), Failure> {
        while let Some(&table) = TABLES.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = temporary.path().join(format!("{table}.parquet"));
            write(table, scale, &path, stop).doing(path.display())?;
        }
        Ok(())
    };
    let done: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(one_after_another)).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    for worker in done {
        worker.map_err(|_| Failure::new("the generator panicked"))??;
    }
    fs::remove_file(&lock).doing(lock.display())?;
    match fs::rename(temporary.path(), &dir) {
        // What was a temporary directory must not be removed any more.
        Ok(()) => drop(temporary.keep()),
        // Another run was faster; its files are as good.
        Err(_) if dir.exists() => {}
        Err(error) => return Err(error).doing(dir.display()),
    }
    Ok(files(&dir))
}

/// Removes what killed runs left half made. What cannot be looked at or removed is somebody else's.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(MAKING) {
            continue;
        }
        let abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // Its maker has not locked it yet, or ended before it could.
            Err(_) => entry
                .metadata()
                .and_then(|about| about.modified())
                .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > SETTLED)),
        };
        if abandoned && let Err(error) = fs::remove_dir_all(&path) {
            say::remark(&format!("{}, which an earlier run left, cannot be removed: {error}", path.display()));
        }
    }
}

fn write(table: &str, scale: f64, path: &Path, stop: &AtomicBool) -> Result<(), Failure> {
    macro_rules! rows {
        ($arrow:ident, $generator:expr) => {
            write_rows(path, $arrow::schema_ref(), $arrow::new($generator), stop)
        };
    }
    match table {
        "lineitem" => rows!(LineItemArrow, LineItemGenerator::new(scale, 1, 1)),
        "orders" => rows!(OrderArrow, OrderGenerator::new(scale, 1, 1)),
        "partsupp" => rows!(PartSuppArrow, PartSuppGenerator::new(scale, 1, 1)),
        "part" => rows!(PartArrow, PartGenerator::new(scale, 1, 1)),
        "customer" => rows!(CustomerArrow, CustomerGenerator::new(scale, 1, 1)),
        "supplier" => rows!(SupplierArrow, SupplierGenerator::new(scale, 1, 1)),
        "nation" => rows!(NationArrow, NationGenerator::default()),
        "region" => rows!(RegionArrow, RegionGenerator::default()),
        other => Err(Failure::new(format!("TPC-H has no table {other}"))),
    }
}

fn write_rows(
    path: &Path,
    schema: SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build();
    let file = File::create(path).doing("create")?;
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).doing("begin")?;
    for batch in batches {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::new("interrupted"));
        }
        writer.write(&batch.doing("generate")?).doing("write")?;
    }
    writer.close().doing("finish").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

    #[test]
    fn what_is_broken_off_leaves_nothing_and_what_a_killed_run_left_goes() {
        let cache = tempfile::tempdir().unwrap();
        let parent = cache.path().join("tpch");
        let (left, used) = (parent.join(".making-left"), parent.join(".making-used"));
        for dir in [&left, &used] {
            fs::create_dir_all(dir).unwrap();
            File::create(dir.join(LOCK)).unwrap();
        }
        let held = File::open(used.join(LOCK)).unwrap();
        held.lock().unwrap();
        let failure = tables(cache.path(), 0.001, &AtomicBool::new(true)).unwrap_err();
        assert!(failure.to_string().ends_with("interrupted"), "{failure}");
        let names = fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        assert_eq!(names, [used]);
    }

    #[test]
    fn tables_are_made_once_and_whole() {
        let cache = tempfile::tempdir().unwrap();
        let go_on = AtomicBool::new(false);
        let files = tables(cache.path(), 0.001, &go_on).unwrap();
        let rows = |path: &Path| {
            let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
            reader.metadata().file_metadata().num_rows()
        };
        // The cardinalities of the specification, times the scale; lineitem's is that of no formula.
        let expected = [("orders", 1500), ("partsupp", 800), ("part", 200), ("customer", 150), ("supplier", 10)];
        for (table, count) in expected.into_iter().chain([("nation", 25), ("region", 5)]) {
            let file = files.iter().find(|f| f.file_stem().unwrap() == table).unwrap();
            assert_eq!(rows(file), count, "{table}");
        }
        assert!((3000..9000).contains(&rows(&files[0])), "an order has one to seven lines");
        let made = fs::metadata(&files[0]).unwrap().modified().unwrap();
        assert_eq!(tables(cache.path(), 0.001, &go_on).unwrap(), files);
        assert_eq!(fs::metadata(&files[0]).unwrap().modified().unwrap(), made);
        let left = fs::read_dir(cache.path().join("tpch")).unwrap().count();
        assert_eq!(left, 1, "nothing temporary is left");
    }
}
