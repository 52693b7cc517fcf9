//! What came of all cases, for a person and for a program.

use std::fmt::Write;
use std::path::Path;

use polyport_terminal::{counted, shell_word};
use serde_json::{Value, json};

use super::trial::{Found, Ran};
use super::within::Terms;

/// The cases that were run, and with what.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plugin, as it was named.
    pub plugin: String,
    /// What they were run with.
    pub terms: Terms,
    /// Options whose values are not shown; none if it is not known which.
    pub secrets: Option<Vec<String>>,
    /// The cases.
    pub ran: Vec<Ran>,
}

impl Report {
    /// Whether every rule was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.ran.iter().any(|ran| matches!(ran.found, Found::Broken(..)))
    }

    /// The command that runs a case again.
    fn again(&self, ran: &Ran) -> String {
        let mut text = format!("polyport plugin test {}", shell_word(Path::new(&self.plugin)));
        for (name, value) in &self.terms.options {
            let is_shown = self.secrets.as_ref().is_some_and(|secrets| !secrets.contains(name));
            let given = format!("{name}={}", if is_shown { value } else { "..." });
            write!(text, " --option {}", shell_word(Path::new(&given))).unwrap_or(());
        }
        write!(text, " --case {} --seed {}", ran.case.name, self.terms.seed).unwrap_or(());
        text
    }

    /// What came of a case, in lines.
    #[must_use]
    pub fn line(&self, ran: &Ran) -> String {
        let name = ran.case.name;
        let mut text = match &ran.found {
            Found::Kept => format!("{name:12} kept     {}", ran.case.about),
            Found::Skipped(why) => format!("{name:12} skipped  {why}"),
            Found::Broken(rule, what) => {
                format!(
                    "{name:12} broken   rule {rule} of plugins/ABI.md: {what}\n{:22}again: {}",
                    "",
                    self.again(ran)
                )
            }
        };
        for remark in &ran.remarks {
            write!(text, "\n{:22}remark: {remark}", "").unwrap_or(());
        }
        text
    }

    fn count(&self, is_it: impl Fn(&Found) -> bool) -> usize {
        self.ran.iter().filter(|ran| is_it(&ran.found)).count()
    }

    fn counts(&self) -> [usize; 3] {
        [
            self.count(|found| *found == Found::Kept),
            self.count(|found| matches!(found, Found::Broken(..))),
            self.count(|found| matches!(found, Found::Skipped(_))),
        ]
    }

    /// The last line.
    #[must_use]
    pub fn summary(&self) -> String {
        let [kept, broken, skipped] = self.counts();
        let calls: u64 = self.ran.iter().map(|ran| ran.calls).sum();
        format!(
            "{}: {kept} kept, {broken} broken, {skipped} skipped; {}, seed {}",
            counted(self.ran.len(), "case", "cases"),
            counted(calls, "call", "calls"),
            self.terms.seed
        )
    }

    /// All of it, for a program.
    #[must_use]
    pub fn json(&self) -> String {
        let [kept, broken, skipped] = self.counts();
        let cases: Vec<Value> = self.ran.iter().map(|ran| self.case(ran)).collect();
        let all = json!({
            "plugin": self.plugin,
            "seed": self.terms.seed,
            "seconds": self.terms.lasting.as_secs(),
            "kept": kept,
            "broken": broken,
            "skipped": skipped,
            "cases": cases,
        });
        all.to_string()
    }

    fn case(&self, ran: &Ran) -> Value {
        let (result, rule, what) = match &ran.found {
            Found::Kept => ("kept", None, None),
            Found::Broken(rule, what) => ("broken", Some(rule), Some(what)),
            Found::Skipped(why) => ("skipped", None, Some(why)),
        };
        json!({
            "name": ran.case.name,
            "about": ran.case.about,
            "rules": ran.case.rules,
            "result": result,
            "rule": rule,
            "what": what,
            "remarks": ran.remarks,
            "calls": ran.calls,
            "again": (result == "broken").then(|| self.again(ran)),
        })
    }
}
