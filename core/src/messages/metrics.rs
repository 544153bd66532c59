//! What tasks did, for people and for decisions on sizes.

/// Operators of one task that are told of one by one: far more than plans of people have. What stands below those counts
/// in the task's sums only. 20 bytes each at most, so that they stay small beside a message.
pub const MAX_OPERATORS: u32 = 256;

/// What one task attempt did, or several together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskMetrics {
    /// Rows that came out.
    pub rows: u64,
    /// Rows that came in: from exchanges and from sources.
    pub rows_read: u64,
    /// Bytes of blocks written.
    pub bytes_written: u64,
    /// Bytes of blocks read.
    pub bytes_read: u64,
    /// Bytes read from sources, as far as their readers say so (Parquet's do).
    pub bytes_scanned: u64,
    /// Bytes spilled to disk.
    pub bytes_spilled: u64,
    /// The most bytes that its operators held at once; of several attempts, the largest.
    pub peak_memory: u64,
    /// How long it ran, in milliseconds.
    pub run_millis: u64,
    /// How long it waited for blocks, in milliseconds. Inputs that are waited for at once count each.
    pub fetch_millis: u64,
    /// What its operators did, by their place; only the first [`MAX_OPERATORS`] of the stage.
    pub operators: Vec<OperatorMetrics>,
}

/// What one operator of a stage's plan did in one task, or in several together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorMetrics {
    /// Its place in the stage's plan, from 0, an operator before its inputs: its line in `EXPLAIN`.
    pub place: u32,
    /// Rows that came out of it.
    pub rows: u64,
    /// Processor time, in microseconds.
    pub compute_micros: u64,
}

impl TaskMetrics {
    /// Counts another attempt's in.
    pub fn add(&mut self, more: &Self) {
        let sums = [
            (&mut self.rows, more.rows),
            (&mut self.rows_read, more.rows_read),
            (&mut self.bytes_written, more.bytes_written),
            (&mut self.bytes_read, more.bytes_read),
            (&mut self.bytes_scanned, more.bytes_scanned),
            (&mut self.bytes_spilled, more.bytes_spilled),
            (&mut self.run_millis, more.run_millis),
            (&mut self.fetch_millis, more.fetch_millis),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.peak_memory = self.peak_memory.max(more.peak_memory);
        for operator in &more.operators {
            self.add_operator(operator);
        }
    }

    /// Keeps them in the order of their places. Attempts list the same ones, so that they are mostly found at once.
    fn add_operator(&mut self, more: &OperatorMetrics) {
        match self.operators.binary_search_by_key(&more.place, |operator| operator.place) {
            Ok(found) => {
                let sum = &mut self.operators[found];
                sum.rows = sum.rows.saturating_add(more.rows);
                sum.compute_micros = sum.compute_micros.saturating_add(more.compute_micros);
            }
            Err(at) => self.operators.insert(at, *more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(place: u32, rows: u64) -> OperatorMetrics {
        OperatorMetrics { place, rows, compute_micros: 10 * rows }
    }

    #[test]
    fn attempts_add_up() {
        let one = TaskMetrics {
            rows: 1,
            rows_read: 2,
            bytes_written: 3,
            bytes_read: 4,
            bytes_scanned: 5,
            bytes_spilled: 6,
            peak_memory: 7,
            run_millis: 8,
            fetch_millis: u64::MAX,
            operators: vec![operator(0, 1), operator(2, 3)],
        };
        // A branch of a union has other operators.
        let other = TaskMetrics { peak_memory: 5, operators: vec![operator(1, 2), operator(2, 4)], ..one.clone() };
        let mut sum = TaskMetrics::default();
        sum.add(&one);
        sum.add(&other);
        let expected = TaskMetrics {
            rows: 2,
            rows_read: 4,
            bytes_written: 6,
            bytes_read: 8,
            bytes_scanned: 10,
            bytes_spilled: 12,
            peak_memory: 7,
            run_millis: 16,
            fetch_millis: u64::MAX,
            operators: vec![operator(0, 1), operator(1, 2), operator(2, 7)],
        };
        assert_eq!(sum, expected);
    }
}
