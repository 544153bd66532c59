//! Shuffle blocks: ids, files and index, checksums, serving and fetching.
