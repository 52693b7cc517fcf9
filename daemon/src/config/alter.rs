//! A plan that is served with one listener more, or one less: not of a text that is read again.

use super::check;
use super::listener::{self, Draft};
use super::names::Names;
use super::plan::Plan;
use super::problem::{Source, Span};
use super::read::Reader;
use super::{Reading, spec};

/// Where the text of such a listener comes from.
const ORIGIN: &str = "add";

/// `before` with one more listener, as `--listen` takes it. What is wrong with it is among the problems.
#[must_use]
pub fn with_listener(before: &Plan, text: &str) -> Reading {
    let mut plan = before.clone();
    let mut texts = plan.texts.to_vec();
    // The text of a listener that is gone gives its place to this one: however often one is added, there are few.
    let is_free = |source: usize, text: &Source| {
        text.origin == ORIGIN && plan.listen.iter().all(|it| it.span.source != source)
    };
    let free =
        texts.iter().enumerate().find(|(source, text)| is_free(*source, text)).map(|(source, _)| source);
    let source = free.unwrap_or(texts.len());
    let own = Source::new(ORIGIN, text);
    match texts.get_mut(source) {
        Some(place) => *place = own,
        None => texts.push(own),
    }
    let names = Names::system();
    let mut reader = Reader::new(&names);
    reader.veiled.extend(spec::veiled(text).into_iter().map(|range| Span { source, range }));
    let named =
        |listen: super::Listen| Draft { name: Some((listen.name.clone(), listen.span.clone())), listen };
    let mut drafts: Vec<Draft> = std::mem::take(&mut plan.listen).into_iter().map(named).collect();
    if let Some(entries) = spec::entries(text, source, &mut reader.problems) {
        let span = Span { source, range: 0..text.len() };
        drafts.push(listener::read(&entries, &span, &mut reader));
    }
    let mut found = reader.problems;
    plan.listen = check::listeners(drafts, &mut found);
    plan.veiled.retain(|place| place.source != source);
    plan.veiled.append(&mut reader.veiled);
    plan.texts = texts.into();
    let mut problems = plan.problems();
    problems.list = found;
    plan.reveal(&[], &mut problems);
    Reading { plan, problems }
}

/// `before` without a listener; none if there is none of that name.
#[must_use]
pub fn without_listener(before: &Plan, name: &str) -> Option<Reading> {
    let mut plan = before.clone();
    plan.listen.retain(|listen| listen.name != name);
    let problems = plan.problems();
    (plan.listen.len() < before.listen.len()).then_some(Reading { plan, problems })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_listen_args;

    #[test]
    fn a_listener_comes_and_goes_and_its_text_with_it() {
        let before = from_listen_args(&["127.0.0.1:7=echo,name=a".to_owned()]).plan;
        let add = |before: &Plan, text: &str| with_listener(before, text).into_result().unwrap();
        let mut plan = add(&before, "127.0.0.1:8=lossy,loss=1%");
        assert_eq!(plan.listen[0], before.listen[0]);
        let sources = plan.sources().len();
        assert_eq!(plan.sources()[1].text, "127.0.0.1:8=lossy,loss=**", "what may be a secret is black");
        for port in 9..100 {
            assert_eq!(plan.listen[1].name, "lossy");
            plan = without_listener(&plan, "lossy").unwrap().into_result().unwrap();
            plan = add(&plan, &format!("127.0.0.1:{port}=lossy,loss=1%"));
        }
        assert_eq!(plan.sources().len(), sources);
        assert!(plan.veiled.len() < 4, "{:?}", plan.veiled);
        assert!(without_listener(&plan, "nobody").is_none());
    }

    #[test]
    fn names_and_addresses_of_others_are_taken_and_what_is_wrong_has_its_place() {
        let before = from_listen_args(&["127.0.0.1:7-9=echo,name=a".to_owned()]).plan;
        for (text, words) in [
            ("127.0.0.1:10=echo,name=a", "two listeners are named `a`"),
            ("127.0.0.1:9=echo,name=b", "port 9 of 127.0.0.1 is used twice"),
            ("127.0.0.1=echo", "add:1:1"),
            ("nonsense", "add:1:1"),
        ] {
            let problems = with_listener(&before, text).into_result().unwrap_err();
            let told = problems.render(false);
            assert!(told.contains(words) && told.contains('^'), "{text}: {told}");
        }
    }
}
