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
    /// The option `name` cannot be used as given; the host adds file and line. An option of a set that is under another
    /// name is meant by its whole name, `up.loss`; see [`Error::under`].
    pub fn option(name: &str, message: impl Display) -> Self {
        // `r#type` in Rust is `type` in the configuration.
        let name = name.trim_start_matches("r#").to_owned();
        Self { option: Some(name), ..Self::from(message) }
    }

    /// Puts a name before that of the option at fault, if there is one: `loss` under `up` is `up.loss`. For what a set of
    /// options checks of itself, which does not know where it stands; `under` may be empty.
    ///
    /// ```
    /// # use polyport_plugin::Error;
    /// let error = Error::option("loss", "more than everything").under("up");
    /// assert_eq!(error.option_name(), Some("up.loss"));
    /// ```
    #[must_use]
    pub fn under(mut self, under: &str) -> Self {
        let under = under.trim_start_matches("r#");
        if let Some(name) = self.option.take_if(|_| !under.is_empty()) {
            self.option = Some(format!("{under}.{name}"));
        }
        self
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
