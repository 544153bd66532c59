//! A link that does not keep to what links promise: messages come twice, out of order, or never.

use super::{
    clause::Action,
    points::{is_set, reached},
};
use crate::link::{LINK_QUEUE, Link};
use tokio::{sync::mpsc, time::sleep};

/// The same link; what goes out passes a point, message by message.
pub fn unreliable<In, Out>(point: &'static str, link: Link<In, Out>) -> Link<In, Out>
where
    In: Send + 'static,
    Out: Clone + Send + 'static,
{
    if !is_set(point) {
        return link;
    }
    let Link { incoming, outgoing: real } = link;
    let (outgoing, mut said) = mpsc::channel::<Out>(LINK_QUEUE);
    tokio::spawn(async move {
        while let Some(message) = said.recv().await {
            let deeds = reached(point, &[]);
            if deeds.contains(Action::Drop) {
                continue;
            }
            if let Some(Action::Delay(time)) = deeds.0.iter().find(|action| matches!(action, Action::Delay(_))) {
                let (late, time) = (real.clone(), *time);
                let message = message.clone();
                tokio::spawn(async move {
                    sleep(time).await;
                    // The link may be closed by now.
                    let _ = late.send(message).await;
                });
                continue;
            }
            let twice = deeds.contains(Action::Duplicate).then(|| message.clone());
            for message in [Some(message), twice].into_iter().flatten() {
                if real.send(message).await.is_err() {
                    return;
                }
            }
            if deeds.perform().await.is_err() {
                return;
            }
        }
    });
    Link { incoming, outgoing }
}
