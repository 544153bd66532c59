//! DataFusion's errors as a task's typed failure.
//!
//! A failure that arose in Hearth (a fetch that failed, say) travels through DataFusion's operators as
//! `DataFusionError::External` and is found again here, however deep operators wrapped it. Everything else is sorted by
//! one question: would the same task fail in the same way if it ran again? Then it is the query's, or its input's, own
//! fault and retrying is waste.

use crate::store::StoreError;
use arrow::error::ArrowError;
use datafusion::{common::DataFusionError, parquet::errors::ParquetError};
use hearth_core::messages::task::TaskFailure;
use std::{error::Error, io, path::Path, sync::Arc};

/// Errors that may be wrapped in one another; more is a cycle, or nobody's intention.
const MAX_DEPTH: usize = 64;

/// Names the spill directory until [`failure_in`] does: operators write nowhere else.
const SPILL_DIR: &str = "the executor's spill directory";

/// The same of an error of a task that spills to `spill_dir`, which DataFusion does not name.
pub(crate) fn failure_in(spill_dir: Option<&Path>, error: &DataFusionError) -> TaskFailure {
    match (failure_of(error), spill_dir) {
        (TaskFailure::Disk { path, message }, Some(dir)) if path == SPILL_DIR => {
            TaskFailure::Disk { path: dir.display().to_string(), message }
        }
        (failure, _) => failure,
    }
}

/// The typed failure that an error of DataFusion stands for.
pub fn failure_of(error: &DataFusionError) -> TaskFailure {
    classify(error, error, MAX_DEPTH)
}

/// `error` is, or is wrapped by, `outermost`, whose message has all the context.
fn classify(error: &DataFusionError, outermost: &DataFusionError, depth: usize) -> TaskFailure {
    let query = || TaskFailure::Query(text(outermost));
    let Some(depth) = depth.checked_sub(1) else { return query() };
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => classify(inner, outermost, depth),
        DataFusionError::Shared(inner) => classify(inner, outermost, depth),
        DataFusionError::Collection(errors) => {
            let failures: Vec<_> = errors.iter().map(|e| classify(e, outermost, depth)).collect();
            // One that may pass makes all of them worth another try.
            let passing = failures.iter().find(|f| !matches!(f, TaskFailure::Query(_)));
            passing.or(failures.first()).cloned().unwrap_or_else(query)
        }
        DataFusionError::External(inner) => dig(inner.as_ref(), outermost, depth),
        DataFusionError::ArrowError(inner, _) => dig(inner.as_ref(), outermost, depth),
        DataFusionError::ParquetError(inner) => dig(inner.as_ref(), outermost, depth),
        DataFusionError::ObjectStore(inner) => dig(inner.as_ref(), outermost, depth),
        DataFusionError::IoError(inner) => dig(inner, outermost, depth),
        DataFusionError::ResourcesExhausted(message) => TaskFailure::OutOfMemory(message.clone()),
        DataFusionError::ExecutionJoin(join) if join.is_panic() => TaskFailure::Panicked(join.to_string()),
        DataFusionError::ExecutionJoin(_) => TaskFailure::Transient(text(outermost)),
        // The query, its plan, or a mistake of DataFusion's: all the same the next time.
        DataFusionError::SQL(..)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Internal(_)
        | DataFusionError::Plan(_)
        | DataFusionError::Configuration(_)
        | DataFusionError::SchemaError(..)
        | DataFusionError::Execution(_)
        | DataFusionError::Substrait(_)
        | DataFusionError::Ffi(_) => query(),
    }
}

/// Looks into an error of any type.
fn dig(error: &(dyn Error + 'static), outermost: &DataFusionError, depth: usize) -> TaskFailure {
    let passing = || TaskFailure::Transient(text(outermost));
    let Some(depth) = depth.checked_sub(1) else { return passing() };
    if let Some(failure) = error.downcast_ref::<TaskFailure>() {
        return failure.clone();
    }
    if let Some(error) = error.downcast_ref::<DataFusionError>() {
        return classify(error, outermost, depth);
    }
    if let Some(error) = error.downcast_ref::<Arc<DataFusionError>>() {
        return classify(error, outermost, depth);
    }
    if let Some(error) = error.downcast_ref::<ArrowError>() {
        return of_arrow(error, outermost, depth);
    }
    if let Some(error) = error.downcast_ref::<ParquetError>() {
        return match error {
            ParquetError::External(inner) => dig(inner.as_ref(), outermost, depth),
            _ => TaskFailure::Query(text(outermost)),
        };
    }
    if let Some(error) = error.downcast_ref::<StoreError>() {
        let text = error.to_string();
        return if error.trouble().may_pass() { TaskFailure::Transient(text) } else { TaskFailure::Query(text) };
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error, outermost, depth);
    }
    error.source().map_or_else(passing, |inner| dig(inner, outermost, depth))
}

fn of_arrow(error: &ArrowError, outermost: &DataFusionError, depth: usize) -> TaskFailure {
    match error {
        ArrowError::ExternalError(inner) => dig(inner.as_ref(), outermost, depth),
        ArrowError::IoError(_, inner) => of_io(inner, outermost, depth),
        ArrowError::MemoryError(message) => TaskFailure::OutOfMemory(message.clone()),
        // More text in one array than its offsets count: an operator that spills takes it in batches.
        ArrowError::OffsetOverflowError(bytes) => {
            TaskFailure::OutOfMemory(format!("{bytes} bytes of text in one array: {}", text(outermost)))
        }
        // IPC is what spilled rows are kept in: a file of ours that does not read back.
        ArrowError::IpcError(_) => TaskFailure::Transient(text(outermost)),
        _ => TaskFailure::Query(text(outermost)),
    }
}

fn of_io(error: &io::Error, outermost: &DataFusionError, depth: usize) -> TaskFailure {
    match error.kind() {
        io::ErrorKind::NotFound => TaskFailure::Query(text(outermost)),
        io::ErrorKind::OutOfMemory => TaskFailure::OutOfMemory(text(outermost)),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            TaskFailure::Disk { path: SPILL_DIR.into(), message: text(outermost) }
        }
        _ => match error.get_ref() {
            Some(inner) => dig(inner, outermost, depth),
            None => TaskFailure::Transient(text(outermost)),
        },
    }
}

fn text(error: &DataFusionError) -> String {
    plain(&error.strip_backtrace()).to_owned()
}

/// A message without the names of the layers that it came through.
pub(crate) fn plain(mut message: &str) -> &str {
    const LAYERS: [&str; 9] = [
        "Arrow error: ",
        "Compute error: ",
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "IO error: ",
        "Io error: ",
        "Optimizer error: ",
        "Schema error: ",
    ];
    while let Some(rest) = LAYERS.iter().find_map(|layer| message.strip_prefix(layer)) {
        message = rest;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use hearth_core::{
        ShuffleId, TaskId,
        messages::task::{BlockLocation, FetchCause},
        messages::worker::Address,
    };

    fn fetch_failed() -> TaskFailure {
        TaskFailure::FetchFailed {
            shuffle: ShuffleId(1),
            map_partition: 2,
            map_task: TaskId(3),
            location: Box::new(BlockLocation {
                worker: "worker-1".parse().unwrap(),
                executor: None,
                address: Address { host: "127.0.0.1".into(), port: 7 },
                directory: "/var/hearth".into(),
            }),
            cause: FetchCause::Unreachable,
            message: "connection refused".into(),
        }
    }

    #[test]
    fn a_failure_of_ours_is_found_however_deep() {
        let external = || DataFusionError::External(Box::new(fetch_failed()));
        let wrapped = [
            external(),
            external().context("while joining").context("while sorting"),
            DataFusionError::Shared(Arc::new(external())),
            DataFusionError::External(Box::new(external())),
            DataFusionError::External(Box::new(Arc::new(external()))),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(external()))), None),
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(fetch_failed()))), None),
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(external())))),
            DataFusionError::IoError(io::Error::other(external())),
            DataFusionError::Collection(vec![DataFusionError::Plan("p".into()), external()]),
        ];
        for error in wrapped {
            assert_eq!(failure_of(&error), fetch_failed(), "{error:?}");
        }
    }

    #[test]
    fn errors_are_sorted_by_whether_they_may_pass() {
        let arrow = |e| DataFusionError::ArrowError(Box::new(e), None);
        let query = [
            arrow(ArrowError::DivideByZero),
            arrow(ArrowError::CastError("Cannot cast string 'x' to Int64".into())),
            DataFusionError::ParquetError(Box::new(ParquetError::EOF("file too short".into()))),
            DataFusionError::Execution("e".into()),
            DataFusionError::IoError(io::ErrorKind::NotFound.into()),
        ];
        for error in query {
            assert!(matches!(failure_of(&error), TaskFailure::Query(_)), "{error:?}");
        }
        let passing = [
            DataFusionError::IoError(io::ErrorKind::ConnectionReset.into()),
            DataFusionError::External("no idea".into()),
            arrow(ArrowError::IpcError("i".into())),
        ];
        for error in passing {
            assert!(matches!(failure_of(&error), TaskFailure::Transient(_)), "{error:?}");
        }
        let full = || io::Error::new(io::ErrorKind::StorageFull, "no space left");
        let full =
            [DataFusionError::IoError(full()), arrow(ArrowError::IoError(format!("IO error: {}", full()), full()))];
        for error in full {
            let at = |path: &str| TaskFailure::Disk { path: path.into(), message: "no space left".into() };
            assert_eq!(failure_of(&error), at("the executor's spill directory"));
            assert_eq!(failure_in(Some(Path::new("/var/hearth/tmp")), &error), at("/var/hearth/tmp"));
        }
    }

    #[test]
    fn running_out_of_memory_is_found_however_deep() {
        let memory = || DataFusionError::ResourcesExhausted("r".into());
        let arrow = |e| DataFusionError::ArrowError(Box::new(e), None);
        for error in [
            memory(),
            memory().context("while joining").context("while sorting"),
            DataFusionError::Shared(Arc::new(memory())),
            DataFusionError::Shared(Arc::new(memory().context("once for all"))),
            DataFusionError::External(Box::new(memory())),
            DataFusionError::External(Box::new(Arc::new(memory()))),
            arrow(ArrowError::ExternalError(Box::new(memory()))),
            arrow(ArrowError::MemoryError("r".into())),
            DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(memory())))),
            DataFusionError::IoError(io::Error::other(memory())),
            DataFusionError::Collection(vec![DataFusionError::Plan("p".into()), memory()]),
        ] {
            assert_eq!(failure_of(&error), TaskFailure::OutOfMemory("r".into()), "{error:?}");
        }
        for error in [
            arrow(ArrowError::OffsetOverflowError(3 << 30)),
            DataFusionError::IoError(io::ErrorKind::OutOfMemory.into()),
        ] {
            assert!(matches!(failure_of(&error), TaskFailure::OutOfMemory(_)), "{error:?}");
        }
    }
}
