//! Hearth's wire protocol: the `.proto` files and the code generated from them.
//!
//! Nothing here checks a message: `hearth_core::wire` turns generated messages into the checked values that the rest of
//! Hearth works with, and back.
//!
//! | file | service | served by | called by |
//! |---|---|---|---|
//! | `worker_link.proto` | `WorkerLink` | master | worker |
//! | `application_link.proto` | `ApplicationLink` | master | driver |
//! | `submission.proto` | `Submission` | master | command line |
//! | `task_link.proto` | `TaskLink` | driver | executor |
//! | `blocks.proto` | `Blocks` | block service, executor | executor, driver |
//! | `common.proto` | none: what several of them share | | |

/// Package `hearth.v1`.
pub mod v1 {
    // Generated code answers to its generator, not to this project's lints.
    #![allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]
    tonic::include_proto!("hearth.v1");
}
