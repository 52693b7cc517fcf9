//! The questions that only the system can answer, each asked once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;

use super::names::Names;

/// Services that the system may be asked for in vain: each time it reads its whole database, some 40 us, and whoever names so many
/// that there are not has no database or none of them right. What stands behind those is not looked up.
pub(super) const MOST_UNKNOWN: usize = 1000;

/// Asks the system while one configuration is read.
pub(super) struct Asked<'a> {
    names: &'a Names,
    services: RefCell<Services>,
}

/// What the system has said of services.
struct Services {
    /// The ports of those that it knows, and none for those that it does not.
    answers: BTreeMap<String, Option<u16>>,
    unknown: usize,
}

/// What is known of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// Its UDP port.
    Port(u16),
    Unknown,
    /// There were too many before it that the system does not know.
    NotAsked,
}

impl<'a> Asked<'a> {
    pub(super) const fn new(names: &'a Names) -> Self {
        Self { names, services: RefCell::new(Services { answers: BTreeMap::new(), unknown: 0 }) }
    }

    /// The UDP port of a service name (services(5)).
    pub(super) fn service(&self, name: &str) -> Service {
        let mut services = self.services.borrow_mut();
        let answer = match services.answers.get(name) {
            Some(answer) => *answer,
            None if services.unknown >= MOST_UNKNOWN => return Service::NotAsked,
            None => {
                let answer = (self.names.service)(name);
                services.unknown += usize::from(answer.is_none());
                services.answers.insert(name.to_owned(), answer);
                answer
            }
        };
        answer.map_or(Service::Unknown, Service::Port)
    }
}

/// Any other question is cheap.
impl Deref for Asked<'_> {
    type Target = Names;

    fn deref(&self) -> &Names {
        self.names
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::config::{Source, parse_with};

    thread_local! {
        static QUESTIONS: Cell<usize> = const { Cell::new(0) };
    }

    fn counting() -> Names {
        let service = |name: &str| {
            QUESTIONS.set(QUESTIONS.get() + 1);
            (name == "domain").then_some(53)
        };
        Names { service, ..Names::system() }
    }

    #[test]
    fn a_service_is_asked_for_once_whether_there_is_one_or_not() {
        QUESTIONS.set(0);
        let names = counting();
        let asked = Asked::new(&names);
        for _ in 0..100 {
            assert_eq!(
                (asked.service("domain"), asked.service("nothing")),
                (Service::Port(53), Service::Unknown)
            );
        }
        assert_eq!(QUESTIONS.get(), 2);
    }

    /// Fifty thousand tables, each with another name: every one is told of, and the system is asked for a thousand.
    #[test]
    fn of_thousands_of_unknown_services_some_are_looked_up_and_all_are_told() {
        const TABLES: usize = 50_000;
        QUESTIONS.set(0);
        let tables =
            (0..TABLES).map(|n| format!("[[listen]]\nbind = \"127.0.0.1:no-such-{n}\"\nplugin = \"echo\"\n"));
        let text: String = tables.collect();
        let reading = parse_with(Source::new("x", text), std::path::Path::new(""), &counting());
        let problems = reading.into_result().unwrap_err();
        assert_eq!((problems.list().len(), QUESTIONS.get()), (TABLES, MOST_UNKNOWN));
        let last = problems.list().last().unwrap();
        assert!(last.label.contains("is not looked up"), "{}", last.label);
    }

    #[test]
    fn one_that_was_looked_up_is_known_behind_many_that_are_not() {
        let names = counting();
        let asked = Asked::new(&names);
        assert_eq!(asked.service("domain"), Service::Port(53));
        (0..MOST_UNKNOWN).for_each(|n| assert_eq!(asked.service(&format!("no{n}")), Service::Unknown));
        assert_eq!((asked.service("domain"), asked.service("ntp")), (Service::Port(53), Service::NotAsked));
        assert_eq!(asked.service("no0"), Service::Unknown);
    }
}
