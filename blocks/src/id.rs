//! Names of outputs and blocks. The same text names them in logs and on disk.

use hearth_core::{ShuffleId, TaskId};
use std::{fmt, str::FromStr};

/// One committed pair of files: what one task attempt wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputId {
    /// A map task's blocks, one a reduce partition: `shuffle_<shuffle>_<map partition>_<task>`.
    Map {
        /// Which shuffle.
        shuffle: ShuffleId,
        /// Which of its map partitions.
        map_partition: u32,
        /// The attempt that wrote it.
        task: TaskId,
    },
    /// A run of bytes of the only block that a map task has, kept by an executor that read it:
    /// `replica_<shuffle>_<map partition>_<task>_<piece>`.
    Replica {
        /// Which shuffle.
        shuffle: ShuffleId,
        /// Which of its map partitions.
        map_partition: u32,
        /// The attempt that wrote the block.
        task: TaskId,
        /// Which run.
        piece: u32,
    },
    /// A result task's rows, one block: `result_<task>`.
    Result {
        /// The attempt that wrote it.
        task: TaskId,
    },
}

/// One block: a reduce partition of an output. Written `shuffle_0_3_17.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId {
    /// The output that holds it.
    pub output: OutputId,
    /// Its reduce partition; 0 for a result.
    pub reduce: u32,
}

/// Why a text names no output or block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind} id: expected {expected}")]
pub struct BadBlockId {
    kind: &'static str,
    expected: &'static str,
    text: String,
}

/// Longest prefix of a wrong text that an error repeats.
const SHOWN: usize = 128;

impl BadBlockId {
    fn output(text: &str) -> Self {
        let expected = "shuffle_<shuffle>_<map partition>_<task>, replica_<shuffle>_<map partition>_<task>_<piece> or result_<task>, in decimal";
        Self { kind: "output", expected, text: text.chars().take(SHOWN).collect() }
    }

    /// A message of the wire without an output.
    pub(crate) fn no_output() -> Self {
        Self::output("")
    }

    fn block(text: &str) -> Self {
        let expected = "an output id, a dot and a reduce partition";
        Self { kind: "block", expected, text: text.chars().take(SHOWN).collect() }
    }
}

impl OutputId {
    /// The block of one reduce partition.
    pub const fn block(self, reduce: u32) -> BlockId {
        BlockId { output: self, reduce }
    }

    /// The attempt that wrote it.
    pub const fn task(&self) -> TaskId {
        match self {
            Self::Map { task, .. } | Self::Replica { task, .. } | Self::Result { task } => *task,
        }
    }

    /// The name of its data file.
    pub fn data_file(&self) -> String {
        format!("{self}.data")
    }

    /// The name of its index file. Its presence is the commit.
    pub fn index_file(&self) -> String {
        format!("{self}.index")
    }
}

impl fmt::Display for OutputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { shuffle, map_partition, task } => write!(f, "shuffle_{shuffle}_{map_partition}_{task}"),
            Self::Replica { shuffle, map_partition, task, piece } => {
                write!(f, "replica_{shuffle}_{map_partition}_{task}_{piece}")
            }
            Self::Result { task } => write!(f, "result_{task}"),
        }
    }
}

impl FromStr for OutputId {
    type Err = BadBlockId;

    fn from_str(text: &str) -> Result<Self, BadBlockId> {
        let parse = || {
            let mut parts = text.split('_');
            let id = match parts.next()? {
                "shuffle" => Self::Map {
                    shuffle: ShuffleId(parts.next()?.parse().ok()?),
                    map_partition: parts.next()?.parse().ok()?,
                    task: TaskId(parts.next()?.parse().ok()?),
                },
                "replica" => Self::Replica {
                    shuffle: ShuffleId(parts.next()?.parse().ok()?),
                    map_partition: parts.next()?.parse().ok()?,
                    task: TaskId(parts.next()?.parse().ok()?),
                    piece: parts.next()?.parse().ok()?,
                },
                "result" => Self::Result { task: TaskId(parts.next()?.parse().ok()?) },
                _ => return None,
            };
            // One form only: no sign, no leading zero, nothing behind.
            (parts.next().is_none() && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| BadBlockId::output(text))
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.output, self.reduce)
    }
}

impl FromStr for BlockId {
    type Err = BadBlockId;

    fn from_str(text: &str) -> Result<Self, BadBlockId> {
        let parse = || {
            let (output, reduce) = text.split_once('.')?;
            let id = Self { output: output.parse().ok()?, reduce: reduce.parse().ok()? };
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| BadBlockId::block(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_they_are_written() {
        let map = OutputId::Map { shuffle: ShuffleId(4), map_partition: u32::MAX, task: TaskId(u64::MAX) };
        assert_eq!(map.to_string(), "shuffle_4_4294967295_18446744073709551615");
        assert_eq!(map.to_string().parse(), Ok(map));
        assert_eq!(map.data_file(), "shuffle_4_4294967295_18446744073709551615.data");
        let replica = OutputId::Replica { shuffle: ShuffleId(4), map_partition: 1, task: TaskId(2), piece: 3 };
        assert_eq!(replica.to_string(), "replica_4_1_2_3");
        assert_eq!(replica.to_string().parse(), Ok(replica));
        let result = OutputId::Result { task: TaskId(0) };
        assert_eq!(result.index_file(), "result_0.index");
        assert_eq!(result.to_string().parse(), Ok(result));
        let block = map.block(9);
        assert_eq!(block.to_string().parse(), Ok(block));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in [
            "",
            "shuffle",
            "shuffle_",
            "shuffle_1_2",
            "shuffle_1_2_3_4",
            "shuffle_01_2_3",
            "shuffle_+1_2_3",
            "shuffle_-1_2_3",
            "shuffle_4294967296_0_0",
            "result_",
            "result_1_2",
            "result_ 1",
            "../result_1",
            "Result_1",
            "replica_1_2_3",
            "replica_1_2_3_4_5",
        ] {
            assert!(bad.parse::<OutputId>().is_err(), "{bad:?}");
            assert!(format!("{bad}.0").parse::<BlockId>().is_err(), "{bad:?}");
        }
        for bad in ["result_1", "result_1.", "result_1.0.0", "result_1.00", ".0"] {
            let e = bad.parse::<BlockId>().unwrap_err();
            assert!(e.to_string().starts_with(&format!("{bad:?} is not a valid block id: expected ")), "{e}");
        }
    }
}
