//! Pure rules and types: no I/O, no SQL, no actors.
//!
//! Everything here can be tested with a table of inputs and expected outputs.

pub mod ack;
pub mod activity;
pub mod busy_wait;
pub mod command;
pub mod communication;
pub mod continuation;
pub mod criteria;
pub mod criteria_plan;
pub mod cycle;
pub mod decision;
pub mod delivery;
pub mod failure;
pub mod header;
pub mod ids;
pub mod loop_policy;
pub mod loop_templates;
pub mod moment;
pub mod name;
pub mod pane_signal;
pub mod permissions;
pub mod prompts;
pub mod recipe;
pub mod redaction;
pub mod role;
pub mod seconds;
pub mod session_fact;
pub mod shell;
pub mod signal;
pub mod startup;
pub mod suggestion;
pub mod supervision;
pub mod time;
pub mod transcript;
pub mod transport;
pub mod triggers;
pub mod turn;
pub mod waiting;
pub mod window;
pub mod words;

pub use activity::Activity;
pub use command::{AttemptState, CommandState, QueuedCommand};
pub use communication::Communication;
pub use decision::Decision;
pub use delivery::{DeliveryState, Settlement};
pub use failure::{Failure, FailureKind};
pub use header::OriginHeader;
pub use loop_policy::LoopPolicy;
pub use permissions::{Permission, PermissionSet};
pub use recipe::Recipe;
pub use role::{Role, Sides};
pub use seconds::Seconds;
pub use turn::{TurnKey, TurnOutcome};
pub use waiting::{Asks, RequestKey, Verdict, Wait};
pub use window::Window;
