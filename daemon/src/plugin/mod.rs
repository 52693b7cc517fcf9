//! The plugin boundary: finds a library, checks it before any of its code runs, loads it, and calls its instances.
//!
//! ```text
//! find   a name -> a private copy of the file, after its identity was read from its bytes; nothing has run yet (I8)
//! load   the private copy -> Plugin, with the options it declares
//! call   Plugin + checked options -> instances, and the calls in both directions
//! inspect  a file -> all that it says, without running it
//! ```
//!
//! The memory that both sides of a call share is [`crate::exchange`]. `plugins/ABI.md` is the contract.

mod call;
mod find;
mod inspect;
mod load;

pub use call::{
    AddressRefusal, Breach, Call, Cell, Cells, CreateError, Doing, Function, Gate, GroupRequest,
    HandlerBudget, Instance, InstancePlace, InstanceSpec, Notify, Outcome, Reconfigured, Rescued,
    RunningCall, State, TimerRequest, WakeList, Why, breaches, tell_of_crashes,
};
pub(crate) use call::{CACHE_LINE, prefetch};
pub use find::{
    Cause, Distrust, Identity, Refusal, Refused, Said, SearchPath, host_abi, host_layout, is_elevated,
    own_file, plugin_abi,
};
pub use inspect::{File, Inspection, Offer, Offers, Parts, Shadowed, Table};
pub use load::{
    BuiltIn, FileUse, Given, GivenValue, Loader, OptionProblem, OptionSpec, OptionType, Part, Plugin, Values,
    built_in_names,
};
