//! Search for the path MTU, over PPT/1 or any echo.

mod echo;
pub mod json;
mod probe;
mod report;
mod size;

pub use echo::Method;
pub use probe::{Prober, ProberConfig};
pub use report::{Finding, NextHop};
pub use size::{kernel_mtu, longest, overhead};
