//! Why a plugin refuses.

use core::fmt::Display;

use crate::line::line;

/// Why a plugin refused. Anything that can be displayed becomes one with `?` or `.into()`.
#[derive(Debug)]
pub struct Error {
    option: Option<String>,
    message: String,
    unsupported: bool,
}

impl Error {
    /// The option `name` cannot be used as given; the host adds file and line.
    pub fn option(name: &str, message: impl Display) -> Self {
        // `r#type` in Rust is `type` in the configuration.
        let name = name.trim_start_matches("r#").to_owned();
        Self { option: Some(name), ..Self::from(message) }
    }

    /// The service is not offered.
    #[must_use]
    pub fn unsupported() -> Self {
        Self { unsupported: true, ..Self::from("not supported by this plugin") }
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The option at fault.
    #[must_use]
    pub fn option_name(&self) -> Option<&str> {
        self.option.as_deref()
    }

    pub(crate) const fn is_unsupported(&self) -> bool {
        self.unsupported
    }
}

impl<T: Display> From<T> for Error {
    fn from(reason: T) -> Self {
        Self { option: None, message: line(reason), unsupported: false }
    }
}
