//! How a child process learns that its worker is gone: the pipe that carried its bootstrap ends.

use std::{
    io::{self, Read},
    thread,
};
use tokio::sync::oneshot;

/// What the watching thread needs: it reads a few bytes and waits.
const STACK: usize = 64 << 10;

/// Done (with an error, as nobody ever sends) when `lifeline`, standard input as a rule, has ended.
///
/// A thread of its own, because a read of standard input cannot be cancelled and a runtime would wait for it when it is
/// dropped.
pub fn watch(mut lifeline: impl Read + Send + 'static) -> io::Result<oneshot::Receiver<()>> {
    let (held, cut) = oneshot::channel::<()>();
    let body = move || {
        let mut ignored = [0; 64];
        loop {
            match lifeline.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        drop(held);
    };
    thread::Builder::new().name("hearth-lifeline".into()).stack_size(STACK).spawn(body)?;
    Ok(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_cut_when_the_other_end_is_closed() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut cut = watch(reader).unwrap();
        io::Write::write_all(&mut writer, b"what follows the bootstrap is ignored").unwrap();
        assert_eq!(cut.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(writer);
        assert!(cut.await.is_err());
    }
}
