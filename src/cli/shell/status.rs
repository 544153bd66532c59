//! `.status`: what this session is, and what it holds of the cluster.

use super::{Shell, run::count};
use hearth::Holdings;
use hearth_core::messages::status::ApplicationView;

impl Shell {
    /// Where statements run.
    pub(super) fn master(&self) -> String {
        self.conf.get(&hearth_core::conf::keys::MASTER).to_string()
    }

    /// Some lines on this session.
    pub(super) fn status(&self) -> String {
        let minutes = self.begun.elapsed().as_secs() / 60;
        let seconds = self.begun.elapsed().as_secs() % 60;
        let mut out = format!(
            "master      {}\nsession     {} in {minutes} min {seconds} s; no query runs\n",
            self.master(),
            count(self.statements, "statement")
        );
        let Ok(context) = self.context.try_lock() else { return out };
        let Some(context) = context.as_ref() else { return out };
        let application = context.application().map_or_else(|| "not registered yet".into(), |id| id.to_string());
        out.push_str(&format!("application {application}\n"));
        if self.lost {
            out.push_str("            it is over; the next statement starts another\n");
            return out;
        }
        match self.runtime.block_on(context.holdings()) {
            Ok(Holdings::Listed(view)) => out.push_str(&held(&view)),
            Ok(Holdings::Local) => out.push_str("holds       this process's own cores; nobody waits for them\n"),
            Ok(Holdings::NotRegistered) => {
                out.push_str("holds       nothing: no master has taken it yet; statements wait until one does\n");
            }
            Ok(Holdings::NotListed) => {
                out.push_str(
                    "holds       nothing: its master does not list it any more; the next statement finds out why\n",
                );
            }
            Err(error) => out.push_str(&format!("            {error}\n")),
        }
        out
    }
}

fn held(view: &ApplicationView) -> String {
    let executors = view.executors.len() as u64;
    let mut out = format!(
        "holds       {} with {} and {} MiB each, until the shell is left\n",
        count(executors, "executor"),
        count(u64::from(view.cores), "core"),
        view.memory_per_executor_mib
    );
    for executor in &view.executors {
        out.push_str(&format!("            {} on {}: {}\n", executor.id, executor.worker, executor.state));
    }
    if let Some(waiting) = &view.waiting {
        out.push_str(&format!("waits       {waiting}\n"));
    }
    out
}
