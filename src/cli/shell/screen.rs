//! The terminal itself.

use super::{
    super::{signals::Asked, signals::Stop, target::apart},
    Failure, File, Shared, output,
};
use hearth::ApplicationState;
use rustix::termios::{self, OptionalActions};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, time::timeout};

/// Rows and columns of standard output; none when it is no terminal.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 1 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// How long the file of `.output` may take to get its last bytes: it may be a pipe that nobody reads.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// Ends the application, and the process, when SIGTERM asks for it while the line editor waits for a key, which cannot be
/// told. Gives the flag that says so. SIGINT is a key there: as a signal it can only come in the moment before the terminal
/// is raw, from somebody who meant the statement that has just ended.
pub(super) fn leave_on_signal(runtime: &Runtime, context: &Shared, file: &File) -> Result<Arc<AtomicBool>, Failure> {
    let at_prompt = Arc::new(AtomicBool::new(false));
    let mode = termios::tcgetattr(io::stdin()).ok();
    let mut stop = {
        let _entered = runtime.enter();
        Stop::listen()?
    };
    let (flag, context, file) = (Arc::clone(&at_prompt), Arc::clone(context), file.clone());
    runtime.spawn(async move {
        loop {
            let signal = stop.next().await;
            if signal != Asked::Terminate || !flag.load(Ordering::SeqCst) {
                continue; // Whoever runs a statement listens too.
            }
            let closed = match file.take() {
                Some(open) => timeout(LAST_BYTES, apart(move || open.close())).await.unwrap_or(Ok(())),
                None => Ok(()),
            };
            if let Some(context) = context.lock().await.take() {
                context.stop(ApplicationState::Killed, signal.to_string()).await;
            }
            if let Some(mode) = &mode {
                // The line editor left it raw.
                let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, mode);
            }
            output::remark("");
            for failure in [closed, Err(Failure::ended_by(signal))].into_iter().filter_map(Result::err) {
                output::complain(&failure.message);
            }
            std::process::exit(Failure::ended_by(signal).code.into());
        }
    });
    Ok(at_prompt)
}
