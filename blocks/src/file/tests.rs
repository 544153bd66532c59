//! Files of outputs: round trips, damage, full disks, and what is left behind.

use super::{temporary::CreateFile, *};
use crate::{OutputId, limits::PIECE};
use bytes::Bytes;
use futures::FutureExt;
use hearth_core::{ExecutorId, ShuffleId, TaskId};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::mpsc,
};
use tempfile::TempDir;

const ID: OutputId = OutputId::Map { shuffle: ShuffleId(1), map_partition: 2, task: TaskId(3) };
const DATA: &str = "shuffle_1_2_3.data";
const INDEX: &str = "shuffle_1_2_3.index";

fn options(max_buffered: u64) -> WriterOptions {
    WriterOptions { max_buffered, ..WriterOptions::default() }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Bytes of an output that look like nothing else, from a seed.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }

    fn bytes(&mut self, len: u32) -> Bytes {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// Writes pieces to random partitions and returns what each partition should hold.
fn fill(writer: &mut OutputWriter, partitions: u32, pieces: u32, noise: &mut Noise) -> Vec<Vec<u8>> {
    let mut model = vec![Vec::new(); partitions as usize];
    for _ in 0..pieces {
        // Some partitions stay empty, and some pieces are.
        let partition = noise.below(partitions) / 2 * 2;
        let len = noise.below(300);
        let bytes = noise.bytes(len);
        model[partition as usize].extend_from_slice(&bytes);
        writer.write(partition, bytes).unwrap();
    }
    model
}

/// All bytes of a block or a span of one, read piece by piece.
fn pieces(mut block: BlockReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = block.next_piece().unwrap() {
        assert!(!piece.bytes.is_empty() && piece.bytes.len() as u64 <= PIECE);
        assert_eq!(piece.crc, crc32c::crc32c(&piece.bytes));
        bytes.extend_from_slice(&piece.bytes);
    }
    assert!(block.is_over());
    bytes
}

fn assert_holds(dir: &Path, model: &[Vec<u8>]) {
    let reader = OutputReader::open(dir, &ID).unwrap();
    assert_eq!(reader.partitions() as usize, model.len());
    for (reduce, expected) in (0..).zip(model) {
        assert_eq!(reader.read(reduce).unwrap(), expected);
        let size = expected.len() as u64;
        assert_eq!(reader.read_span(reduce, size, 0..size).unwrap(), expected);
        let other = reader.read_span(reduce, size + 1, 0..size);
        assert!(matches!(other, Err(ReadError::Corrupt { .. })), "{other:?}");
        assert_eq!(pieces(reader.block(reduce).unwrap()), *expected);
    }
    let beyond = reader.read(reader.partitions());
    assert!(matches!(beyond, Err(ReadError::NotFound { .. })), "{beyond:?}");
}

#[test]
fn outputs_read_as_they_were_written() {
    let mut noise = Noise(7);
    for partitions in [1, 2, 7, 1000] {
        for max_buffered in [0, 1000, 10_000, u64::MAX] {
            for pieces in [0, 1, 3000] {
                let dir = TempDir::new().unwrap();
                let mut writer = OutputWriter::create(dir.path(), ID, partitions, options(max_buffered));
                let model = fill(&mut writer, partitions, pieces, &mut noise);
                let committed = writer.commit().unwrap();
                let sizes: Vec<_> = model.iter().map(|b| b.len() as u64).collect();
                assert_eq!(committed.sizes, sizes);
                if pieces != 1 {
                    let spilled = partitions > 1 && max_buffered <= 10_000 && pieces > 0;
                    assert_eq!(committed.bytes_spilled > 0, spilled, "{partitions} {max_buffered} {pieces}");
                }
                assert_eq!(names(dir.path()), [DATA, INDEX]);
                assert_holds(dir.path(), &model);
            }
        }
    }
}

#[test]
fn memory_is_accounted_for_and_bounded() {
    let dir = TempDir::new().unwrap();
    let mut writer = OutputWriter::create(dir.path(), ID, 3, options(1000));
    writer.write(0, Bytes::new()).unwrap();
    assert_eq!(writer.buffered_bytes(), 0);
    let mut peak = 0;
    for _ in 0..100 {
        writer.write(1, Bytes::from_static(&[1; 100])).unwrap();
        peak = peak.max(writer.buffered_bytes());
    }
    assert!((100..=1000).contains(&peak), "{peak}");
    writer.spill().unwrap();
    assert_eq!(writer.buffered_bytes(), 0);
    assert_eq!(writer.commit().unwrap().bytes_spilled, 10_000);
}

#[test]
fn the_files_are_as_documented() {
    let dir = TempDir::new().unwrap();
    let mut writer = OutputWriter::create(dir.path(), ID, 3, WriterOptions::default());
    writer.write(2, Bytes::from_static(b"6789")).unwrap();
    writer.write(0, Bytes::from_static(b"12345")).unwrap();
    writer.write(2, Bytes::from_static(b"x")).unwrap();
    writer.commit().unwrap();
    assert_eq!(fs::read(dir.path().join(DATA)).unwrap(), b"123456789x");
    let mut expected = b"HEARTHIX\0\0\0\x02\0\0\0\x03".to_vec();
    for offset in [0_u8, 5, 5, 10] {
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, offset]);
    }
    // The block in the middle is empty and has no piece.
    for pieces in [0_u8, 1, 1, 2] {
        expected.extend_from_slice(&[0, 0, 0, pieces]);
    }
    let index = fs::read(dir.path().join(INDEX)).unwrap();
    assert_eq!(index[..64], expected);
    // The check value of CRC-32C that the catalogues give is that of "123456789".
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(index[64..], [crc32c::crc32c(b"12345"), crc32c::crc32c(b"6789x")].map(u32::to_be_bytes).concat());
}

/// Blocks of several pieces, written in chunks that do not care where pieces end.
#[test]
fn spans_of_large_blocks_are_read_and_checked_apart() {
    const SIZE: u64 = 3 * PIECE + 100;
    let dir = TempDir::new().unwrap();
    let mut noise = Noise(11);
    let block = noise.bytes(u32::try_from(SIZE).unwrap());
    let mut writer = OutputWriter::create(dir.path(), ID, 3, options(300_000));
    for chunk in block.chunks(99_999) {
        writer.write(0, Bytes::copy_from_slice(chunk)).unwrap();
        writer.write(2, Bytes::copy_from_slice(chunk)).unwrap();
    }
    writer.commit().unwrap();
    let read = |reduce, span: std::ops::Range<u64>| {
        let reader = OutputReader::open(dir.path(), &ID).unwrap();
        reader.read_span(reduce, SIZE, span.clone()).map(|bytes| {
            assert_eq!(pieces(reader.block(reduce).unwrap().span(span).unwrap()), bytes);
            bytes
        })
    };
    for reduce in [0, 2] {
        for (from, to) in [(0, SIZE), (0, PIECE), (PIECE, 3 * PIECE), (3 * PIECE, SIZE), (SIZE, SIZE)] {
            assert_eq!(read(reduce, from..to).unwrap(), block[from as usize..to as usize]);
        }
        for span in [1..PIECE, 0..PIECE - 1, 0..SIZE + 1, SIZE - 1..SIZE, 4 * PIECE..5 * PIECE, 0..4 * PIECE] {
            assert!(matches!(read(reduce, span.clone()), Err(ReadError::NotFound { .. })), "{span:?}");
        }
    }
    // Damage costs its own piece.
    let path = dir.path().join(DATA);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(SIZE + PIECE + 1) as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(read(0, 0..SIZE).unwrap(), block);
    assert_eq!(read(2, 0..PIECE).unwrap(), block[..PIECE as usize]);
    assert_eq!(read(2, 2 * PIECE..SIZE).unwrap(), block[2 * PIECE as usize..]);
    let error = read(2, 0..2 * PIECE).unwrap_err();
    assert!(
        error.to_string().contains("block 2 has CRC32C") && error.to_string().contains("from byte 262144"),
        "{error}"
    );
}

/// A committed output of four blocks, one of them empty.
fn sample() -> (TempDir, Vec<Vec<u8>>) {
    let dir = TempDir::new().unwrap();
    let mut noise = Noise(1);
    let model: Vec<_> = [100, 0, 37, 64].map(|len| noise.bytes(len).to_vec()).into();
    let mut writer = OutputWriter::create(dir.path(), ID, 4, WriterOptions::default());
    for (partition, bytes) in (0..).zip(&model) {
        writer.write(partition, bytes.clone().into()).unwrap();
    }
    writer.commit().unwrap();
    (dir, model)
}

/// Reads every block: nothing but what was written is handed out. Counts the blocks that are refused.
fn refused(dir: &Path, model: &[Vec<u8>]) -> usize {
    let refusal = |e: ReadError| match e {
        ReadError::Corrupt { .. } | ReadError::NotFound { .. } => 1,
        ReadError::Io { .. } => panic!("{e}"),
    };
    let reader = match OutputReader::open(dir, &ID) {
        Ok(reader) => reader,
        Err(e) => return refusal(e) * model.len(),
    };
    let read = |(reduce, expected)| match reader.read(reduce) {
        Ok(bytes) => {
            assert_eq!(bytes, expected);
            0
        }
        Err(e) => refusal(e),
    };
    (0..).zip(model).map(read).sum()
}

#[test]
fn every_damaged_byte_is_found() {
    let (dir, model) = sample();
    for name in [INDEX, DATA] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        for i in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[i] ^= flip;
                fs::write(&path, &bad).unwrap();
                assert!(refused(dir.path(), &model) > 0, "{name}: byte {i} flipped by {flip:#x}");
            }
        }
        fs::write(&path, &good).unwrap();
        assert_eq!(refused(dir.path(), &model), 0);
    }
}

#[test]
fn files_that_are_too_short_or_too_long_are_found() {
    let (dir, model) = sample();
    for name in [INDEX, DATA] {
        let path = dir.path().join(name);
        let good = fs::read(&path).unwrap();
        for len in 0..good.len() {
            fs::write(&path, &good[..len]).unwrap();
            assert_eq!(refused(dir.path(), &model), 4, "{name} cut to {len} bytes");
        }
        let longer = [&good[..], &[0]].concat();
        fs::write(&path, &longer).unwrap();
        assert_eq!(refused(dir.path(), &model), 4, "{name} one byte longer");
        fs::write(&path, &good).unwrap();
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        assert!(matches!(OutputReader::open(dir.path(), &ID), Err(ReadError::NotFound { .. })));
        fs::rename(dir.path().join("elsewhere"), &path).unwrap();
    }
}

#[test]
fn absurd_lengths_are_refused_before_anything_is_allocated() {
    let (dir, model) = sample();
    let path = dir.path().join(INDEX);
    let mut index = fs::read(&path).unwrap();
    // All offsets but the first: blocks of 2^63 bytes and more.
    index[24..56].fill(0xff);
    fs::write(&path, &index).unwrap();
    assert_eq!(refused(dir.path(), &model), 4);
    // A data file that is as long as that says, without a byte on the disk, and blocks that are not what they were.
    let len = 1_u64 << 40;
    index[24..56].copy_from_slice(&[0, 0, 0, len].map(u64::to_be_bytes).concat());
    fs::write(&path, &index).unwrap();
    if let Err(e) = File::options().write(true).open(dir.path().join(DATA)).unwrap().set_len(len) {
        assert_eq!(e.kind(), io::ErrorKind::FileTooLarge);
        return;
    }
    let reader = OutputReader::open(dir.path(), &ID).unwrap();
    assert!(matches!(reader.read_span(3, 64, 0..64), Err(ReadError::Corrupt { .. })));
}

/// Opens a device that is always full in place of the file, which is made too so that its removal can be seen.
fn full(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)?;
    OpenOptions::new().read(true).write(true).open("/dev/full")
}

const fn full_for(what: &str) -> CreateFile {
    fn open(path: &Path, full_if: &str) -> io::Result<File> {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(full_if) { full(path) } else { super::temporary::create_file(path) }
    }
    match what.as_bytes() {
        b"data" => |path| open(path, ".data.tmp"),
        b"index" => |path| open(path, ".index.tmp"),
        b"spill" => |path| open(path, ".spill.tmp"),
        _ => panic!("no such file"),
    }
}

#[test]
fn a_full_disk_names_the_path_and_leaves_nothing() {
    for (what, partitions) in [("data", 1), ("data", 3), ("spill", 3), ("index", 1), ("index", 3)] {
        for max_buffered in [100, u64::MAX] {
            let dir = TempDir::new().unwrap();
            let options = options(max_buffered);
            let mut writer = OutputWriter::create_with(dir.path().into(), ID, partitions, options, full_for(what));
            let written = (0..50).try_for_each(|_| writer.write(0, Bytes::from_static(&[7; 64])));
            let ended = written.and_then(|()| writer.commit());
            if what == "spill" && max_buffered == u64::MAX {
                ended.unwrap();
                continue;
            }
            let e = ended.unwrap_err();
            assert_eq!(e.source.kind(), io::ErrorKind::StorageFull, "{e}");
            let path = dir.path().join(format!("{ID}.{what}.tmp"));
            assert_eq!(e.path, path);
            assert!(e.to_string().starts_with(&format!("cannot write {}: ", path.display())), "{e}");
            assert_eq!(names(dir.path()), [""; 0]);
        }
    }
}

#[test]
fn after_a_failed_spill_nothing_is_committed() {
    let dir = TempDir::new().unwrap();
    let mut writer = OutputWriter::create_with(dir.path().into(), ID, 2, options(0), full_for("spill"));
    writer.write(0, Bytes::from_static(b"lost")).unwrap_err();
    writer.write(0, Bytes::from_static(b"more")).unwrap_err();
    let e = writer.commit().unwrap_err();
    assert!(e.to_string().contains("an earlier spill of this output failed"), "{e}");
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_commit_that_fails_half_way_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    // The index cannot take its name, after the data has taken its own.
    fs::create_dir(dir.path().join(INDEX)).unwrap();
    let mut writer = OutputWriter::create(dir.path(), ID, 2, options(0));
    writer.write(1, Bytes::from_static(b"x")).unwrap();
    assert_eq!(writer.commit().unwrap_err().path, dir.path().join(INDEX));
    assert_eq!(names(dir.path()), [INDEX]);
}

#[test]
fn nothing_is_visible_before_the_commit_nor_left_without_one() {
    let dir = TempDir::new().unwrap();
    for partitions in [1, 2] {
        for abort in [false, true] {
            let mut writer = OutputWriter::create(dir.path(), ID, partitions, options(0));
            writer.write(0, Bytes::from_static(b"x")).unwrap();
            assert!(names(dir.path()).iter().all(|name| name.ends_with(".tmp")));
            assert!(matches!(OutputReader::open(dir.path(), &ID), Err(ReadError::NotFound { .. })));
            if abort {
                writer.abort()
            } else {
                drop(writer)
            }
            assert_eq!(names(dir.path()), [""; 0]);
        }
    }
}

#[test]
fn the_directory_is_made_and_nothing_is_written_over() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("app/shuffle");
    let mut first = OutputWriter::create(&deep, ID, 2, options(0));
    first.write(0, Bytes::from_static(b"x")).unwrap();
    let mut second = OutputWriter::create(&deep, ID, 2, options(0));
    let e = second.write(0, Bytes::from_static(b"y")).unwrap_err();
    assert_eq!(e.source.kind(), io::ErrorKind::AlreadyExists);
    drop(second);
    first.commit().unwrap();
    assert_eq!(OutputReader::open(&deep, &ID).unwrap().read(0).unwrap(), &b"x"[..]);
}

#[test]
fn only_what_is_not_needed_is_removed() {
    let dir = TempDir::new().unwrap();
    let map = |shuffle, task| OutputId::Map { shuffle: ShuffleId(shuffle), map_partition: 0, task: TaskId(task) };
    let result = |task| OutputId::Result { task: TaskId(task) };
    for id in [map(1, 1), map(1, 2), map(11, 3), result(1), result(11)] {
        OutputWriter::create(dir.path(), id, 1, WriterOptions::default()).commit().unwrap();
    }
    let mut late = OutputWriter::create(dir.path(), map(1, 9), 2, options(0));
    late.write(0, Bytes::from_static(b"late")).unwrap();
    fs::write(dir.path().join("shuffle_1.note"), "not ours").unwrap();
    let open = OutputReader::open(dir.path(), &map(1, 1)).unwrap();
    assert_eq!(remove_outputs(dir.path(), &[ShuffleId(1)], &[TaskId(1)]).unwrap(), 7);
    let rest = ["result_11.data", "result_11.index", "shuffle_11_0_3.data", "shuffle_11_0_3.index", "shuffle_1.note"];
    let mut rest = rest.map(String::from);
    rest.sort();
    assert_eq!(names(dir.path()), rest);
    assert_eq!(open.read(0).unwrap(), Bytes::new());
    // The late writer still has its spill file open; what it commits is for the next round.
    late.commit().unwrap();
    assert_eq!(remove_outputs(dir.path(), &[ShuffleId(1)], &[]).unwrap(), 2);
    assert_eq!(names(dir.path()), rest);
    assert_eq!(remove_outputs(&dir.path().join("none"), &[ShuffleId(1)], &[]).unwrap(), 0);
}

/// A piece of a block that executors keep: each that reads it writes it.
const PIECE_ID: OutputId = OutputId::Replica { shuffle: ShuffleId(1), map_partition: 2, task: TaskId(3), piece: 0 };

fn writer_of(dir: &Path, executor: u32, turn: u64) -> OutputWriter {
    let writer = Some(WriterId { executor: ExecutorId(executor), turn });
    OutputWriter::create(dir, PIECE_ID, 1, WriterOptions { max_buffered: 0, writer })
}

#[test]
fn several_writers_of_the_same_bytes_do_not_hinder_one_another() {
    let dir = TempDir::new().unwrap();
    let mut writers = [writer_of(dir.path(), 1, 0), writer_of(dir.path(), 2, 0), writer_of(dir.path(), 2, 1)];
    for writer in &mut writers {
        writer.write(0, Bytes::from_static(b"same")).unwrap();
    }
    let [first, second, third] = writers;
    first.commit().unwrap();
    let open = OutputReader::open(dir.path(), &PIECE_ID).unwrap();
    second.commit().unwrap();
    drop(third);
    for reader in [open, OutputReader::open(dir.path(), &PIECE_ID).unwrap()] {
        assert_eq!(reader.read(0).unwrap(), &b"same"[..]);
    }
    assert_eq!(names(dir.path()), [PIECE_ID.data_file(), PIECE_ID.index_file()]);
}

#[test]
fn what_a_killed_writer_left_hinders_nobody_and_goes_with_the_output() {
    let dir = TempDir::new().unwrap();
    let mut killed = writer_of(dir.path(), 1, 0);
    killed.write(0, Bytes::from_static(b"half")).unwrap();
    // As a kill does: nothing removes its file.
    std::mem::forget(killed);
    let left = names(dir.path());
    assert_eq!(left.len(), 1);
    let mut next = writer_of(dir.path(), 2, 0);
    next.write(0, Bytes::from_static(b"whole")).unwrap();
    next.commit().unwrap();
    assert_eq!(OutputReader::open(dir.path(), &PIECE_ID).unwrap().read(0).unwrap(), &b"whole"[..]);
    assert!(names(dir.path()).contains(&left[0]));
    assert_eq!(remove_outputs(dir.path(), &[ShuffleId(1)], &[]).unwrap(), 3);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn directories_of_outputs_are_nobody_elses_to_read() {
    let dir = TempDir::new().unwrap();
    OutputWriter::create(dir.path().join("app/shuffle"), ID, 1, options(0)).commit().unwrap();
    for made in ["app", "app/shuffle"] {
        let mode = fs::metadata(dir.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

#[tokio::test]
async fn the_async_writer_writes_the_same() {
    let dir = TempDir::new().unwrap();
    let mut writer = AsyncOutputWriter::create(dir.path(), ID, 7, options(1000));
    let mut noise = Noise(3);
    let mut model = vec![Vec::new(); 7];
    for _ in 0..200 {
        let partition = noise.below(6);
        let bytes = noise.bytes(50);
        model[partition as usize].extend_from_slice(&bytes);
        writer.write(partition, bytes).await.unwrap();
        assert!(writer.buffered_bytes() <= 1000);
    }
    writer.spill().await.unwrap();
    assert_eq!(writer.buffered_bytes(), 0);
    let committed = writer.commit().await.unwrap();
    assert_eq!(committed.bytes_spilled, 10_000);
    assert_holds(dir.path(), &model);
}

#[test]
fn a_cancelled_spill_loses_the_writer_and_leaves_nothing() {
    // One blocking thread, which is busy: the spill is sure to wait behind it.
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let dir = TempDir::new().unwrap();
    runtime.block_on(async {
        let (release, held) = mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv());
        let mut writer = AsyncOutputWriter::create(dir.path(), ID, 2, options(0));
        assert!(writer.write(0, Bytes::from_static(b"x")).now_or_never().is_none());
        let e = writer.write(0, Bytes::from_static(b"y")).await.unwrap_err();
        assert!(e.to_string().contains("an earlier call was cancelled"), "{e}");
        drop(release);
        busy.await.unwrap().unwrap_err();
        // The same thread has done the spill before this.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert_eq!(names(dir.path()), [""; 0]);
    });
}
