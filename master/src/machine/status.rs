//! Snapshots for people and their tools.

use super::{
    Master,
    application::{Application, Completed},
};
use hearth_core::messages::{
    VERSION,
    status::{ApplicationView, ClusterView, ExecutorView, WorkerView},
};
use hearth_core::{ApplicationState, MasterState, Now};
use std::time::Duration;

impl Master {
    /// The whole cluster.
    pub(super) fn status(&self, now: Now) -> ClusterView {
        let workers = self.workers.iter().map(|(id, worker)| WorkerView {
            id: id.clone(),
            host: worker.address.host.clone(),
            port: worker.address.port,
            state: worker.state(),
            total: worker.total,
            used: worker.used(),
            labels: worker.labels.clone(),
            silent_millis: millis(now.since(worker.last_heard)),
        });
        ClusterView {
            url: self.options.url.clone(),
            version: VERSION.into(),
            // Recovery and standby come with the journal's reader: what does not lead does not answer.
            state: MasterState::Alive,
            workers: workers.collect(),
            active: self.applications.values().map(|a| self.application_view(now, a, None)).collect(),
            completed: self.completed.iter().map(|completed| self.completed_view(completed)).collect(),
        }
    }

    /// One application; `ended` is how it ended, when this is its end.
    pub(super) fn application_view(
        &self,
        now: Now,
        application: &Application,
        ended: Option<(ApplicationState, &str)>,
    ) -> ApplicationView {
        let waits = ended.is_none() && application.is_short(&self.options);
        ApplicationView {
            id: application.id.clone(),
            name: application.spec.name.clone(),
            user: application.spec.user.clone(),
            state: ended.map_or_else(|| application.state(), |(state, _)| state),
            submitted: application.submitted,
            duration_millis: millis(now.since(application.registered)),
            cores: application.held().cores,
            memory_per_executor_mib: application.spec.memory_per_executor_mib,
            executors: self.executor_views(&application.id),
            waiting: waits.then(|| self.wait_reason(now, application)).flatten().map(|reason| reason.to_string()),
            message: ended.map_or_else(String::new, |(_, message)| message.to_owned()),
        }
    }

    /// An application that is over: what its executors still hold is looked up anew.
    fn completed_view(&self, completed: &Completed) -> ApplicationView {
        let executors = self.executor_views(&completed.view.id);
        let cores = executors.iter().map(|executor| executor.resources.cores).sum();
        ApplicationView { cores, executors, ..completed.view.clone() }
    }

    fn executor_views(&self, id: &hearth_core::ApplicationId) -> Vec<ExecutorView> {
        let mut views = Vec::new();
        for (worker, host) in &self.workers {
            let from = (id.clone(), hearth_core::ExecutorId(0));
            for ((_, executor), held) in host.executors().range(from..).take_while(|((a, _), _)| a == id) {
                let (worker, state, resources) = (worker.clone(), held.state, held.resources);
                views.push(ExecutorView { id: *executor, worker, state, resources });
            }
        }
        views.sort_by_key(|view| view.id);
        views
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
