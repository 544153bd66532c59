//! Effects become deeds.

use super::{links::Links, uplink::Uplink};
use crate::machine::Effect;
use hearth_core::{
    ApplicationId, Level,
    run::{Perform, Performed},
};
use std::sync::Arc;
use tokio::sync::watch;

/// The driver's hands.
pub(super) struct Performer {
    pub(super) links: Arc<Links>,
    pub(super) uplink: Uplink,
    /// For whoever wants to know the application's id.
    pub(super) application: watch::Sender<Option<ApplicationId>>,
}

impl Perform<Effect> for Performer {
    fn perform(&mut self, effect: Effect) -> Performed {
        match effect {
            Effect::DialMaster => self.uplink.dial(),
            Effect::ToMaster { link, message } => self.uplink.say(link, message),
            Effect::CloseMasterLink { link } => self.uplink.close(link),
            Effect::ToExecutor { link, message } => self.links.say(link, message),
            Effect::CloseExecutorLink { link } => self.links.close(link),
            Effect::Answer { reply, answer } => self.links.answer(reply, answer),
            Effect::Job { job, news } => self.links.tell(job, news),
            Effect::Log { level, text } => match level {
                Level::Debug => tracing::debug!("{text}"),
                Level::Info => tracing::info!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Error => tracing::error!("{text}"),
            },
            Effect::Named(id) => drop(self.application.send_replace(Some(id))),
            Effect::Stopped => return Performed::Stopped,
        }
        Performed::Done
    }
}
