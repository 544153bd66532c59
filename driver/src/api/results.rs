//! From a result block to its rows.

use super::QueryError;
use crate::shell::DriverHandle;
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use hearth_blocks::{Fetcher, OutputId, Wanted};
use hearth_core::{
    TaskId,
    messages::task::{BlockLocation, ResultBlock},
};
use hearth_plan::decode_result;

/// Reads result blocks.
#[derive(Debug)]
pub(super) struct Reader {
    driver: DriverHandle,
    fetcher: Fetcher,
    max_result_size: Option<u64>,
}

impl Reader {
    pub(super) const fn new(driver: DriverHandle, fetcher: Fetcher, max_result_size: Option<u64>) -> Self {
        Self { driver, fetcher, max_result_size }
    }

    /// The rows of one partition.
    pub(super) async fn read(&self, partition: u32, block: ResultBlock) -> Result<Vec<RecordBatch>, QueryError> {
        let bytes = match block {
            ResultBlock::Inline(bytes) => bytes,
            ResultBlock::Stored { task, location, bytes } => self.fetch(partition, task, location, bytes).await?,
        };
        // Decompressing a large block takes a while; the runtime's other work need not wait for it.
        let decoded = tokio::task::spawn_blocking(move || decode_result(bytes)).await;
        let damaged = |message: String| QueryError::Damaged { partition, message };
        let (_, batches) = decoded.map_err(|e| damaged(e.to_string()))?.map_err(|e| damaged(e.to_string()))?;
        Ok(batches)
    }

    async fn fetch(
        &self,
        partition: u32,
        task: TaskId,
        location: BlockLocation,
        size: u64,
    ) -> Result<Bytes, QueryError> {
        if let Some(limit) = self.max_result_size.filter(|limit| size > *limit) {
            return Err(QueryError::TooLarge { limit });
        }
        let damaged = |message: &str| QueryError::Damaged { partition, message: message.to_owned() };
        let application = self.driver.application();
        let application = application.ok_or_else(|| damaged("no master has named the application that stored it"))?;
        let wanted = Wanted { location, id: OutputId::Result { task }.block(0), size };
        let mut blocks = self.fetcher.fetch(&application, vec![wanted]);
        match blocks.next().await {
            Some(Ok((_, bytes))) => Ok(bytes),
            Some(Err(source)) => Err(QueryError::Lost { partition, source: Box::new(source) }),
            None => Err(damaged("there is no such block")),
        }
    }
}
