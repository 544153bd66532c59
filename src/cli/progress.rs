//! One bar per running stage on a terminal; silence otherwise.

use hearth::StageProgress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{collections::BTreeMap, io::IsTerminal, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// Bars of the query that runs. Dropping them clears the terminal.
pub(super) struct Bars {
    all: Option<MultiProgress>,
    follow: Option<JoinHandle<()>>,
}

impl Bars {
    /// Follows a query's stages.
    pub(super) fn show(mut stages: watch::Receiver<Vec<StageProgress>>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { all: None, follow: None };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let bars = all.clone();
        let follow = tokio::spawn(async move {
            let mut shown: BTreeMap<hearth_core::StageId, ProgressBar> = BTreeMap::new();
            // Queries that are over at once should not flicker.
            tokio::time::sleep(Duration::from_millis(300)).await;
            loop {
                for stage in stages.borrow_and_update().iter() {
                    if stage.over {
                        if let Some(bar) = shown.remove(&stage.id) {
                            bar.finish_and_clear();
                        }
                        continue;
                    }
                    let bar = shown.entry(stage.id).or_insert_with(|| {
                        let style = ProgressStyle::with_template("stage {prefix} {bar:24} {pos}/{len} {msg}");
                        let bar = bars.add(ProgressBar::new(u64::from(stage.tasks)));
                        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                        bar.set_prefix(stage.id.to_string());
                        bar
                    });
                    bar.set_position(u64::from(stage.done));
                    bar.set_message(format!("({} running) {}", stage.running, stage.name));
                }
                if stages.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { all: Some(all), follow: Some(follow) }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        if let Some(follow) = &self.follow {
            follow.abort();
        }
        if let Some(all) = &self.all {
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish();
    }
}
