//! The ground that every process of Hearth stands on.
//!
//! | module | what |
//! |---|---|
//! | [`machine`] | the contract of every piece of control: deterministic machines, time as an argument |
//! | [`run`] | the loop that drives a machine (feature `loop`) |
//! | [`ids`] | names of things |
//! | [`resources`] | cores, memory, labels |
//! | [`states`] | states and their legal transitions |
//! | [`stage`] | the stage graph that front ends make and schedulers run |
//! | [`messages`] | what processes say to one another |
//! | [`refusal`] | every "no" |
//! | [`conf`] | configuration: keys, defaults, precedence |
//! | [`client`] | what an executor asks its driver (feature `loop`) |
//! | [`failpoint`](mod@failpoint) | faults on purpose, for tests on real processes (feature `loop`) |
//! | [`link`] | two bounded queues between two processes (feature `loop`) |
//! | [`lifeline`] | how a child learns that its worker is gone (feature `loop`) |
//! | [`bootstrap`] | what a worker tells a child process |
//! | [`mutant`] | deliberate bugs, with which tests show that they can fail |
//! | [`wire`] | messages from and to protobuf (feature `wire`) |

pub mod bootstrap;
#[cfg(feature = "loop")]
pub mod client;
pub mod conf;
pub mod failpoint;
pub mod ids;
#[cfg(feature = "loop")]
pub mod lifeline;
#[cfg(feature = "loop")]
pub mod link;
pub mod machine;
pub mod memory;
pub mod messages;
pub mod mutant;
pub mod refusal;
pub mod resources;
#[cfg(feature = "loop")]
pub mod run;
pub mod stage;
pub mod states;
#[cfg(feature = "wire")]
pub mod wire;

pub use ids::{ApplicationId, BadId, ExecutorId, JobId, ShuffleId, StageId, TaskId, WorkerId};
pub use machine::{Durable, Level, Machine, Now, ReplyId, WallTime};
pub use messages::LinkId;
pub use mutant::Mutant;
pub use refusal::Refusal;
pub use resources::{Labels, Resources};
pub use stage::{Determinism, Edge, Exchange, Payload, PayloadHash, StageGraph, StageNode};
pub use states::{ApplicationState, ExecutorState, MasterState, WorkerState};
