//! What tasks did.

use super::super::check::{Malformed, bad, each, quantity};
use crate::messages::task::{MAX_OPERATORS, OperatorMetrics, TaskMetrics};
use hearth_proto::v1;

impl From<TaskMetrics> for v1::TaskMetrics {
    fn from(metrics: TaskMetrics) -> Self {
        Self {
            rows: metrics.rows,
            rows_read: metrics.rows_read,
            bytes_written: metrics.bytes_written,
            bytes_read: metrics.bytes_read,
            bytes_scanned: metrics.bytes_scanned,
            bytes_spilled: metrics.bytes_spilled,
            peak_memory: metrics.peak_memory,
            run_millis: metrics.run_millis,
            fetch_millis: metrics.fetch_millis,
            operators: metrics.operators.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::TaskMetrics> for TaskMetrics {
    type Error = Malformed;
    fn try_from(metrics: v1::TaskMetrics) -> Result<Self, Malformed> {
        let operators: Vec<OperatorMetrics> = each("TaskMetrics.operators", metrics.operators, MAX_OPERATORS as usize)?;
        for pair in operators.windows(2) {
            if pair[0].place >= pair[1].place {
                let expected =
                    format_args!("a place above {}: operators come in the order of their places", pair[0].place);
                return Err(bad("TaskMetrics.operators", &pair[1].place, &expected));
            }
        }
        Ok(Self {
            rows: quantity("TaskMetrics.rows", metrics.rows)?,
            rows_read: quantity("TaskMetrics.rows_read", metrics.rows_read)?,
            bytes_written: quantity("TaskMetrics.bytes_written", metrics.bytes_written)?,
            bytes_read: quantity("TaskMetrics.bytes_read", metrics.bytes_read)?,
            bytes_scanned: quantity("TaskMetrics.bytes_scanned", metrics.bytes_scanned)?,
            bytes_spilled: quantity("TaskMetrics.bytes_spilled", metrics.bytes_spilled)?,
            peak_memory: quantity("TaskMetrics.peak_memory", metrics.peak_memory)?,
            run_millis: quantity("TaskMetrics.run_millis", metrics.run_millis)?,
            fetch_millis: quantity("TaskMetrics.fetch_millis", metrics.fetch_millis)?,
            operators,
        })
    }
}

impl From<OperatorMetrics> for v1::OperatorMetrics {
    fn from(metrics: OperatorMetrics) -> Self {
        let OperatorMetrics { place, rows, compute_micros } = metrics;
        Self { place, rows, compute_micros }
    }
}

impl TryFrom<v1::OperatorMetrics> for OperatorMetrics {
    type Error = Malformed;
    fn try_from(metrics: v1::OperatorMetrics) -> Result<Self, Malformed> {
        let v1::OperatorMetrics { place, rows, compute_micros } = metrics;
        if place >= MAX_OPERATORS {
            return Err(bad("OperatorMetrics.place", &place, &format_args!("a place below {MAX_OPERATORS}")));
        }
        Ok(Self {
            place,
            rows: quantity("OperatorMetrics.rows", rows)?,
            compute_micros: quantity("OperatorMetrics.compute_micros", compute_micros)?,
        })
    }
}
