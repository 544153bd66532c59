//! Between gRPC streams and the queues of a [`Link`](crate::link::Link).

use super::{Parts, check::Malformed};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// Messages that were decoded and wait for their reader. A reader that falls behind stops the stream, and the rest waits
/// with the sender; so few suffice, and few bound the memory that a peer can take.
const DECODED: usize = 64;

/// What a server's method gives back for a stream.
pub type Served<P> = Pin<Box<dyn Stream<Item = Result<P, Status>> + Send + 'static>>;

/// The messages of a gRPC stream as a link's incoming queue.
///
/// The queue ends with the stream: when the peer ends it, when the connection breaks, and, with a warning in the log, at
/// the first message that makes no sense. `peer` is what the log calls the other side. Dropping the queue cancels the
/// stream.
///
/// Must be called on a tokio runtime.
pub fn incoming<P, T>(
    stream: impl Stream<Item = Result<P, Status>> + Send + Unpin + 'static,
    peer: String,
) -> mpsc::Receiver<T>
where
    P: Send + 'static,
    T: TryFrom<P, Error = Malformed> + Send + 'static,
{
    let (queue, receiver) = mpsc::channel(DECODED);
    tokio::spawn(async move {
        tokio::select! {
            () = pump(stream, &queue, &peer) => {}
            // Without this, a quiet stream would outlive its reader.
            () = queue.closed() => {}
        }
    });
    receiver
}

async fn pump<P, T>(mut stream: impl Stream<Item = Result<P, Status>> + Unpin, queue: &mpsc::Sender<T>, peer: &str)
where
    T: TryFrom<P, Error = Malformed>,
{
    while let Some(message) = stream.next().await {
        let message = match message.map(T::try_from) {
            Ok(Ok(message)) => message,
            Ok(Err(malformed)) => {
                tracing::warn!(peer, "link closed: malformed message: {malformed}");
                return;
            }
            Err(status) => {
                tracing::debug!(peer, "link broke: {status}");
                return;
            }
        };
        if queue.send(message).await.is_err() {
            return;
        }
    }
}

/// A link's outgoing queue as a stream of protobuf messages.
#[derive(Debug)]
pub struct Outgoing<T, P> {
    queue: mpsc::Receiver<T>,
    /// What is left of a message that went in parts.
    parts: VecDeque<P>,
}

impl<T, P: Parts + From<T> + Unpin> Stream for Outgoing<T, P> {
    type Item = P;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<P>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Poll::Ready(Some(part));
            }
            match ready!(self.queue.poll_recv(context)) {
                Some(message) => self.parts = P::from(message).parts().into(),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// A link's outgoing queue as the stream that a client sends.
pub fn outgoing<T, P>(queue: mpsc::Receiver<T>) -> Outgoing<T, P>
where
    T: Send + 'static,
    P: Parts + From<T> + Unpin,
{
    Outgoing { queue, parts: VecDeque::new() }
}

/// A link's outgoing queue as the stream that a server's method answers with.
pub fn served<T, P>(queue: mpsc::Receiver<T>) -> Served<P>
where
    T: Send + 'static,
    P: Parts + From<T> + Unpin,
{
    Box::pin(outgoing(queue).map(Ok))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::worker::WorkerUp;
    use hearth_proto::v1;
    use tokio_stream::wrappers::ReceiverStream;

    fn leaving(reason: &str) -> WorkerUp {
        WorkerUp::Leaving { reason: reason.into() }
    }

    #[tokio::test]
    async fn messages_pass_in_order_until_the_stream_ends() {
        let sent = ["a", "b"].map(|reason| Ok(v1::WorkerUp::from(leaving(reason))));
        let mut queue = incoming::<_, WorkerUp>(tokio_stream::iter(sent), "test".into());
        assert_eq!(queue.recv().await, Some(leaving("a")));
        assert_eq!(queue.recv().await, Some(leaving("b")));
        assert_eq!(queue.recv().await, None);
    }

    #[tokio::test]
    async fn a_malformed_message_or_a_broken_stream_ends_the_link() {
        for bad in [Ok(v1::WorkerUp { message: None }), Err(Status::unknown("broken pipe"))] {
            let sent = [Ok(leaving("a").into()), bad, Ok(leaving("never").into())];
            let mut queue = incoming::<v1::WorkerUp, WorkerUp>(tokio_stream::iter(sent), "test".into());
            assert_eq!(queue.recv().await, Some(leaving("a")));
            assert_eq!(queue.recv().await, None);
        }
    }

    #[tokio::test]
    async fn dropping_the_queue_drops_a_quiet_stream() {
        let (sender, quiet) = mpsc::channel::<Result<v1::WorkerUp, Status>>(1);
        drop(incoming::<_, WorkerUp>(ReceiverStream::new(quiet), "test".into()));
        sender.closed().await;
    }

    #[tokio::test]
    async fn outgoing_queues_end_as_their_senders_do() {
        let (sender, queue) = mpsc::channel(2);
        sender.send(leaving("a")).await.unwrap();
        drop(sender);
        let sent: Vec<v1::WorkerUp> = outgoing(queue).collect().await;
        assert_eq!(sent, [leaving("a").into()]);

        let (sender, queue) = mpsc::channel(2);
        sender.send(leaving("b")).await.unwrap();
        drop(sender);
        let mut stream: Served<v1::WorkerUp> = served(queue);
        assert_eq!(stream.next().await.unwrap().unwrap(), leaving("b").into());
        assert!(stream.next().await.is_none());
    }
}
