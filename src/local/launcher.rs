//! Executors as tasks of this process.

use super::dial::InProcess;
use hearth_core::bootstrap::{BlocksBootstrap, ExecutorBootstrap};
use hearth_driver::shell::DriverHandle;
use hearth_executor::shell::{ShellOptions, start};
use hearth_worker::shell::{ChildSeat, Launcher};
use std::sync::Arc;
use tokio::sync::watch;

/// Starts executors in this process, for a driver in this process.
#[derive(Debug)]
pub(crate) struct LocalLauncher {
    driver: watch::Sender<Option<DriverHandle>>,
}

impl Default for LocalLauncher {
    fn default() -> Self {
        Self { driver: watch::Sender::new(None) }
    }
}

impl LocalLauncher {
    /// Names the driver; executors that are started before wait for it.
    pub(crate) fn serve(&self, driver: DriverHandle) {
        self.driver.send_replace(Some(driver));
    }
}

impl Launcher for LocalLauncher {
    fn start_executor(&self, bootstrap: ExecutorBootstrap, mut seat: ChildSeat) {
        let mut named = self.driver.subscribe();
        tokio::spawn(async move {
            let named = named.wait_for(Option::is_some).await.ok().and_then(|driver| driver.clone());
            let Some(driver) = named else { return seat.failed("the driver is gone".into()).await };
            let options = match ShellOptions::from_bootstrap(bootstrap) {
                Ok(options) => options,
                Err(error) => return seat.failed(error.to_string()).await,
            };
            let (accepting, client) = (driver.clone(), Arc::new(driver));
            let dial = InProcess::new("the driver", move |link| accepting.accept_executor(link));
            let executor = match start(options, Arc::new(dial), client).await {
                Ok(executor) => executor,
                Err(error) => return seat.failed(error.to_string()).await,
            };
            seat.started(std::process::id(), 0).await;
            let exit = tokio::select! {
                exit = executor.wait() => exit,
                _ = seat.kill_asked() => {
                    executor.stop("its worker ends it").await;
                    executor.wait().await
                }
            };
            seat.exited(exit.code, exit.reason).await;
        });
    }

    /// Nobody serves blocks: every reader is in this process and opens the files itself.
    fn start_block_service(&self, _: BlocksBootstrap, mut seat: ChildSeat) {
        tokio::spawn(async move {
            seat.started(std::process::id(), 0).await;
            seat.kill_asked().await;
            seat.exited(0, String::new()).await;
        });
    }
}
