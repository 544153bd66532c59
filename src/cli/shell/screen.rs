//! The terminal itself.

use super::{super::signals::Stop, Failure, Shared, output};
use hearth::ApplicationState;
use rustix::termios::{self, OptionalActions};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::runtime::Runtime;

/// Rows and columns of standard output; none when it is no terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 1 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// What SIGTERM makes an exit code of.
const TERMINATED: i32 = 143;
const INTERRUPTED: i32 = 130;

/// Ends the application, and the process, when a signal asks for it while the line editor waits for a key, which cannot be
/// told. Gives the flag that says so.
pub(super) fn leave_on_signal(runtime: &Runtime, context: &Shared) -> Result<Arc<AtomicBool>, Failure> {
    let at_prompt = Arc::new(AtomicBool::new(false));
    let mode = termios::tcgetattr(io::stdin()).ok();
    let mut stop = {
        let _entered = runtime.enter();
        Stop::listen()?
    };
    let (flag, context) = (Arc::clone(&at_prompt), Arc::clone(context));
    runtime.spawn(async move {
        loop {
            let signal = stop.next().await;
            if !flag.load(Ordering::SeqCst) {
                continue; // Whoever runs a statement listens too.
            }
            if let Some(context) = context.lock().await.take() {
                context.stop(ApplicationState::Killed, signal).await;
            }
            if let Some(mode) = &mode {
                // The line editor left it raw.
                let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, mode);
            }
            output::remark(&format!("\nended by {signal}"));
            std::process::exit(if signal == "SIGTERM" { TERMINATED } else { INTERRUPTED });
        }
    });
    Ok(at_prompt)
}
