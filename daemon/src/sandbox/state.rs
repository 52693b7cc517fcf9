//! What is in force, in words.

use std::fmt;

/// The layers that are in force, and those that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    in_force: Vec<String>,
    off: Vec<Off>,
    allowed: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Off {
    layer: &'static str,
    why: String,
    /// Nobody asked for it to be off.
    is_surprise: bool,
}

impl State {
    /// Nothing was given up, because nobody wanted it.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    pub(super) fn add(&mut self, layer: impl Into<String>) {
        self.in_force.push(layer.into());
    }

    /// What the operator allows beyond what everybody may.
    #[cfg(any(target_os = "linux", test))]
    pub(super) fn allow(&mut self, what: &[String]) {
        self.allowed.extend_from_slice(what);
    }

    /// A layer that is off as the configuration wants it.
    pub(super) fn not_wanted(&mut self, layer: &'static str) {
        self.off.push(Off { layer, why: "as configured".to_owned(), is_surprise: false });
    }

    /// A layer that is not, or not fully, in force, though it was wanted if possible.
    pub(super) fn missing(&mut self, layer: &'static str, why: impl Into<String>) {
        self.off.push(Off { layer, why: why.into(), is_surprise: true });
    }

    /// What a person should know of layers that are off although they were wanted.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.off
            .iter()
            .filter(|off| off.is_surprise)
            .map(|off| format!("sandbox: {}: {}", off.layer, off.why))
    }
}

/// One line: `user nobody, no capabilities, no_new_privs, seccomp; landlock off (this kernel has none)`.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_force.is_empty() && self.off.is_empty() {
            return f.write_str("off");
        }
        f.write_str(&self.in_force.join(", "))?;
        for off in &self.off {
            let Off { layer, why, .. } = off;
            write!(f, "; {layer} off ({why})")?;
        }
        self.allowed.iter().try_for_each(|what| write!(f, "; {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_in_force_and_what_is_not_and_why() {
        let mut state = State::off();
        assert_eq!(state.to_string(), "off");
        state.add("user nobody");
        state.add("no capabilities");
        assert_eq!(state.to_string(), "user nobody, no capabilities");
        state.not_wanted("seccomp");
        state.missing("landlock", "this kernel has none");
        let shown =
            "user nobody, no capabilities; seccomp off (as configured); landlock off (this kernel has none)";
        assert_eq!(state.to_string(), shown);
        state.allow(&["network open".to_owned(), "writes /log".to_owned()]);
        assert_eq!(state.to_string(), format!("{shown}; network open; writes /log"));
        let warnings: Vec<_> = state.warnings().collect();
        assert_eq!(warnings, ["sandbox: landlock: this kernel has none"], "nobody is warned of his own wish");
    }
}
