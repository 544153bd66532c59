//! From a child's pipe to its log.

use crate::rotate::RotatingLog;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::oneshot,
    task::JoinHandle,
};

/// How much of the end is kept: some lines of a message and the start of a backtrace.
const TAIL: usize = 4 * 1024;
/// A first line is not longer than this; more of it is left out.
const MAX_FIRST_LINE: usize = 4 * 1024;
/// What is read at once.
const CHUNK: usize = 8 * 1024;

/// A running copy.
#[derive(Debug)]
pub(crate) struct Copy {
    task: JoinHandle<()>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    finished: bool,
}

impl Copy {
    /// Copies from `pipe` to `log` until the pipe ends. The receiver gets the first line.
    pub(crate) fn start<R>(pipe: R, log: RotatingLog) -> (Self, oneshot::Receiver<String>)
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let tail = Arc::<Mutex<VecDeque<u8>>>::default();
        let (tell, first_line) = oneshot::channel();
        let task = tokio::spawn(copy(pipe, log, Arc::clone(&tail), FirstLine { line: Vec::new(), tell: Some(tell) }));
        (Self { task, tail, finished: false }, first_line)
    }

    /// Waits for the pipe's end. Cancel safe.
    pub(crate) async fn finish(&mut self) {
        if !self.finished {
            // A panic in the copy has been printed; the tail holds what came before.
            let _ = (&mut self.task).await;
            self.finished = true;
        }
    }

    /// The end of what was copied so far.
    pub(crate) fn tail(&self) -> String {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(tail.make_contiguous()).into_owned()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The first line, until it is whole.
struct FirstLine {
    line: Vec<u8>,
    tell: Option<oneshot::Sender<String>>,
}

impl FirstLine {
    fn take(&mut self, bytes: &[u8]) {
        if self.tell.is_none() {
            return;
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let room = MAX_FIRST_LINE - self.line.len();
        self.line.extend(bytes[..end.unwrap_or(bytes.len())].iter().take(room));
        if (end.is_some() || self.line.len() == MAX_FIRST_LINE)
            && let Some(tell) = self.tell.take()
        {
            // Nobody has to be interested.
            let _ = tell.send(String::from_utf8_lossy(&self.line).into_owned());
            self.line = Vec::new();
        }
    }
}

async fn copy<R>(mut pipe: R, mut log: RotatingLog, tail: Arc<Mutex<VecDeque<u8>>>, mut first_line: FirstLine)
where
    R: AsyncRead + Unpin,
{
    let mut chunk = vec![0; CHUNK];
    let mut complained = false;
    loop {
        let read = match pipe.read(&mut chunk).await {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) => {
                tracing::warn!(log = ?log.path(), %error, "a child's output cannot be read any more");
                return;
            }
        };
        first_line.take(&chunk[..read]);
        keep(&tail, &chunk[..read]);
        // Disks may stall; a runtime's thread must not.
        let written = tokio::task::spawn_blocking(move || {
            let written = log.write(&chunk[..read]);
            (written, log, chunk)
        });
        let result: io::Result<()>;
        (result, log, chunk) = match written.await {
            Ok(back) => back,
            // The runtime ends, and this task with it.
            Err(_) => return,
        };
        if let Err(error) = result
            && !complained
        {
            complained = true;
            tracing::warn!(log = ?log.path(), %error, "a child's output cannot be written; some of it is lost");
        }
    }
}

fn keep(tail: &Mutex<VecDeque<u8>>, bytes: &[u8]) {
    let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
    let surplus = (tail.len() + bytes.len()).saturating_sub(TAIL);
    tail.drain(..surplus);
    tail.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_end_and_bounded() {
        let tail = Mutex::default();
        keep(&tail, b"lost ");
        keep(&tail, &[b'x'; TAIL - 3]);
        keep(&tail, b"end");
        let kept: Vec<u8> = tail.lock().unwrap().iter().copied().collect();
        assert_eq!(kept.len(), TAIL);
        assert!(kept.starts_with(b"xx") && kept.ends_with(b"xend"));
        keep(&tail, &[b'y'; 3 * TAIL]);
        assert_eq!(tail.lock().unwrap().len(), TAIL);
    }

    #[test]
    fn a_first_line_may_come_in_pieces_and_is_bounded() {
        let line = |pieces: &[&[u8]]| {
            let (tell, mut told) = oneshot::channel();
            let mut first = FirstLine { line: Vec::new(), tell: Some(tell) };
            pieces.iter().for_each(|p| first.take(p));
            told.try_recv().ok()
        };
        assert_eq!(line(&[b"lis", b"tening\nmore\n"]).as_deref(), Some("listening"));
        assert_eq!(line(&[b"listening"]), None);
        assert_eq!(line(&[&[b'z'; 2 * MAX_FIRST_LINE]]).map(|l| l.len()), Some(MAX_FIRST_LINE));
    }
}
