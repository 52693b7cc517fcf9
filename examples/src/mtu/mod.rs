//! Search for the path MTU, over PPT/1 or any echo.

mod echo;
pub mod json;
mod probe;
mod report;
mod size;
mod survey;

pub use echo::Method;
pub use probe::{Prober, ProberConfig, SearchFor};
pub use report::{Back, BackLimit, Finding, Fragmented, NextHop};
pub use size::{kernel_mtu, longest, overhead};
pub use survey::{SurveyConfig, survey};
