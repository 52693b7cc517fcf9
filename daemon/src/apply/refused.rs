//! Why nothing was started, or changed.

use polyport_terminal::Exit;

use crate::config::{Plan, Problem, Problems};

/// Everything is as it was before; these are the reasons.
#[derive(Debug)]
pub struct Refused {
    /// All of them.
    pub problems: Problems,
    /// The exit code that says which kind it is.
    pub exit: Exit,
}

impl From<Problems> for Refused {
    fn from(problems: Problems) -> Self {
        Self { problems, exit: Exit::Config }
    }
}

impl Refused {
    /// A refusal of the operating system that belongs to no place in the configuration.
    pub(super) fn by_system(plan: &Plan, title: &str) -> Self {
        Self::at(plan, [Problem::new("system", title)])
    }

    /// Refusals of the operating system, each at its place in the configuration.
    pub(super) fn at(plan: &Plan, found: impl IntoIterator<Item = Problem>) -> Self {
        let mut problems = plan.problems();
        found.into_iter().for_each(|problem| problems.push(problem));
        Self { problems, exit: Exit::Os }
    }
}
