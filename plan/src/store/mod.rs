//! Object stores by URL, in the driver and in tasks.
//!
//! ```text
//! OPTIONS of a statement ──┐
//! --conf ──────────────────┼─settings─> StoreOptions ──build──> ObjectStore, MultipartStore   (driver)
//! the driver's environment ┘                │
//!                                           └──payload of a stage──> StoreOptions ──build──>  (tasks)
//! ```
//!
//! What holds:
//! - A store is made at the first use of its scheme and host, and kept while its options stay the same.
//! - The driver finds credentials; tasks use what their payload says and look at no environment.
//! - Values of options are [`Secret`]s from the moment they are read: nothing that is logged, shown or planned has them.
//! - Every error of a store names the URL that it arose at, and is a [`StoreError`] somewhere in its chain of sources,
//!   which says whether trying again may help.
//! - Every request ends: see [`StoreSettings::timeout`].

mod build;
mod error;
mod named;
mod options;
mod registry;
mod secret;
mod settings;
mod url;

pub use error::{StoreError, StoreTrouble};
pub(crate) use registry::{Said, store_of, urls};
pub use registry::{StorePool, Stores};
pub use secret::Secret;
pub use settings::StoreSettings;
pub(crate) use settings::is_of_store;

pub(crate) use options::{StoreMessage, StoreOptions};
pub(crate) use url::{Provider, StoreUrl};
