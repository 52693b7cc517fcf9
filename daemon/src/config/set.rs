//! Other options and settings for one listener of a plan that is served: not of a text, and so gone when the text is read again.

use std::collections::HashSet;
use std::sync::Arc;

use super::check;
use super::listener::{self, Draft};
use super::names::Names;
use super::plan::{AsRead, Listen, Plan, RawOption, RawValue};
use super::problem::{Problem, Source, Span, code};
use super::read::Reader;
use super::spec::{Meant, setting};
use super::tree::{Entry, Value};
use super::{Reading, reply};

/// What the names of such texts begin with, before that of the listener and the key.
const ORIGIN: &str = "set ";

/// `before` with these options of the plugin of a listener, and settings of its own, each a key and the text of its value, as
/// `--listen` takes them. None if there is no such listener.
#[must_use]
pub fn with_settings(before: &Plan, listener: &str, pairs: &[(String, String)]) -> Option<Reading> {
    let mut plan = before.clone();
    let mut texts = plan.texts.to_vec();
    let mut left_over = left_over(before).into_iter();
    let listen = plan.listen.iter_mut().find(|listen| listen.name == listener)?;
    if listen.as_read.is_none() {
        let as_read = AsRead { options: listen.options.clone(), settings: listen.settings() };
        listen.as_read = Some(Arc::new(as_read));
    }
    let names = Names::system();
    let mut reader = Reader::new(&names);
    let (mut settings, mut policy) = (Vec::new(), Vec::new());
    for (key, value) in pairs {
        // The text of a key that was set before goes: however often it is set, there is one. What was set of listeners that
        // are gone gives its place as well.
        let origin = format!("{ORIGIN}{listener} {key}");
        let text = Source::new(origin.as_str(), format!("{key}={value}"));
        let place = texts.iter().position(|other| other.origin == origin);
        let source = match place.or_else(|| left_over.next()) {
            Some(at) => at,
            None => {
                texts.push(text.clone());
                texts.len() - 1
            }
        };
        let key_span = Span { source, range: 0..key.len() };
        let value_span = Span { source, range: key.len() + 1..text.text.len() };
        plan.veiled.retain(|place| place.source != source);
        if let Some(place) = texts.get_mut(source) {
            *place = text;
        }
        match Meant::by(key) {
            Meant::Option(name) => {
                plan.veiled.push(value_span.clone());
                set_option(listen, name, value, (key_span, value_span));
            }
            Meant::Setting("name") => {
                let title = "the name of a listener that serves is what it is called here";
                let help = "write another one down, and reload";
                reader.problems.push(Problem::new(code::MISPLACED_KEY, title).at(&key_span, "").help(help));
            }
            Meant::Setting(name) => {
                let value = setting(key, value.clone());
                settings.push(Entry { key: name.to_owned(), key_span, value, value_span });
            }
            Meant::Reply(name) => {
                let value = reply::typed(name, Value::Text(value.clone()), &value_span);
                policy.push(Entry { key: name.to_owned(), key_span, value, value_span });
            }
        }
    }
    if !settings.is_empty() || !policy.is_empty() {
        listener::change(listen, &settings, &policy, &mut reader);
    }
    let mut found = std::mem::take(&mut reader.problems);
    if settings.iter().any(|entry| matches!(entry.key.as_str(), "share" | "device")) {
        // Who may have an address beside whom.
        let named = |listen: Listen| Draft { name: Some((listen.name.clone(), listen.span.clone())), listen };
        let drafts = std::mem::take(&mut plan.listen).into_iter().map(named).collect();
        plan.listen = check::listeners(drafts, &mut found);
    }
    plan.veiled.append(&mut reader.veiled);
    plan.texts = texts.into();
    let mut problems = plan.problems();
    problems.list = found;
    plan.reveal(&[], &mut problems);
    Some(Reading { plan, problems })
}

/// The places of texts that were set of listeners which are gone.
fn left_over(plan: &Plan) -> Vec<usize> {
    let names: HashSet<&str> = plan.listen.iter().map(|listen| listen.name.as_str()).collect();
    let is_left_over = |(at, text): &(usize, &Source)| {
        // A file is called what it was opened by, whatever that begins with.
        let set = text.origin.strip_prefix(ORIGIN).filter(|_| plan.file_mode(*at).is_none());
        set.and_then(|set| set.split_once(' ')).is_some_and(|(listener, _)| !names.contains(listener))
    };
    plan.texts.iter().enumerate().filter(is_left_over).map(|(at, _)| at).collect()
}

/// Gives a listener another option.
fn set_option(listen: &mut Listen, name: &str, value: &str, (name_span, value_span): (Span, Span)) {
    let value = RawValue::Text(value.to_owned());
    let option = RawOption { name: name.to_owned(), name_span, value, value_span, element_spans: Vec::new() };
    match listen.options.iter_mut().find(|other| other.name == name) {
        Some(other) => *other = option,
        None => listen.options.push(option),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{from_listen_args, with_listener, without_listener};

    fn set(before: &Plan, options: &[(&str, &str)]) -> Plan {
        let options: Vec<_> = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        with_settings(before, "a", &options).unwrap().into_result().unwrap()
    }

    #[test]
    fn an_option_is_replaced_or_added_and_its_place_is_what_was_typed() {
        let args = ["127.0.0.1:7=lossy,name=a,loss=1%", "127.0.0.1:8=lossy,name=b,loss=1%"];
        let before = from_listen_args(&args.map(str::to_owned)).plan;
        let plan = set(&before, &[("loss", "5%"), ("delay", "1ms")]);
        let told: Vec<_> = plan.listen[0].options.iter().map(|o| (o.name.as_str(), &o.value)).collect();
        let text = |text: &str| RawValue::Text(text.to_owned());
        assert_eq!(told, [("loss", &text("5%")), ("delay", &text("1ms"))]);
        assert_eq!(plan.listen[1], before.listen[1]);
        let Span { source, range } = &plan.listen[0].options[0].value_span;
        assert_eq!(
            (plan.texts[*source].origin.as_str(), &plan.texts[*source].text[range.clone()]),
            ("set a loss", "5%")
        );
        assert_eq!(plan.sources()[*source].text, "loss=**", "whether it is a secret the plugin says later");
        let sources = plan.sources().len();
        let plan = (0..100).fold(plan, |plan, n| set(&plan, &[("loss", &format!("{n}%"))]));
        assert_eq!((plan.sources().len(), plan.listen[0].options.len()), (sources, 2));
        assert!(plan.veiled.len() < 10, "{:?}", plan.veiled);
        assert!(with_settings(&plan, "c", &[]).is_none());
    }

    /// Listeners that come, are set and go again do not fill the memory.
    #[test]
    fn the_texts_of_listeners_that_are_gone_give_their_places() {
        let before = from_listen_args(&["127.0.0.1:7=lossy,name=b,loss=1%".to_owned()]).plan;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut plan = with_settings(&before, "b", &[pair("loss", "2%")]).unwrap().into_result().unwrap();
        let mut sources = None;
        for n in 0..50 {
            let name = format!("n{n}");
            let added =
                with_listener(&plan, &format!("127.0.0.1:8=lossy,name={name}")).into_result().unwrap();
            let pairs = [pair("loss", "5%"), pair("delay", "1ms"), pair("on_fault", "exit")];
            let set = with_settings(&added, &name, &pairs).unwrap().into_result().unwrap();
            let text = |option: &RawOption| {
                let Span { source, range } = option.value_span.clone();
                (set.texts[source].origin.clone(), set.texts[source].text[range].to_owned())
            };
            let told: Vec<_> = set.listen[1].options.iter().map(text).collect();
            let expected = [
                (format!("set {name} loss"), "5%".to_owned()),
                (format!("set {name} delay"), "1ms".to_owned()),
            ];
            assert_eq!(told, expected);
            assert_eq!(text(&set.listen[0].options[0]), ("set b loss".to_owned(), "2%".to_owned()));
            assert_eq!(*sources.get_or_insert(set.texts.len()), set.texts.len());
            assert!(set.veiled.len() < 10, "{:?}", set.veiled);
            plan = without_listener(&set, &name).unwrap().into_result().unwrap();
        }
    }

    #[test]
    fn settings_are_named_as_behind_listen_and_the_rest_stays() {
        let args = ["0.0.0.0:7=echo,name=a,reply.rate=9/s,recv_buffer=1MiB".to_owned()];
        let before = from_listen_args(&args).plan;
        let plan = set(
            &before,
            &[
                ("on_fault", "exit"),
                ("listen.tos", "ef"),
                ("listen.sessions", "3"),
                ("reply.slip", "0"),
                ("tos", "1"),
            ],
        );
        let listen = &plan.listen[0];
        let settings: Vec<_> =
            listen.settings().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected =
            ["on_fault=exit", "recv_buffer=1MiB", "reply.rate=9/s", "reply.slip=0", "sessions=3", "tos=0xb8"];
        assert_eq!(settings, expected);
        let options: Vec<_> = listen.options.iter().map(|option| option.name.as_str()).collect();
        assert_eq!(options, ["tos"], "a bare name is the plugin's");
        let as_read = listen.as_read.as_ref().unwrap();
        assert_eq!((&as_read.settings, as_read.options.len()), (&before.listen[0].settings(), 0));
        // What it was read as does not change when more is set.
        let plan = set(&plan, &[("reply.budget", "off"), ("on_fault", "restart")]);
        assert_eq!(plan.listen[0].as_read, Some(Arc::clone(as_read)));
        assert_eq!(set(&plan, &[("reply.budget", "on")]).listen[0].reply.budget.unwrap(), Default::default());
    }

    #[test]
    fn what_is_wrong_with_a_setting_has_its_place_and_what_only_a_reload_changes_is_said() {
        let args = ["127.0.0.1:7=echo,name=a,share=true", "127.0.0.1:7=echo,name=b,share=true"];
        let before = from_listen_args(&args.map(str::to_owned)).plan;
        for (key, value, words) in [
            ("on_fault", "never", "set a on_fault:1:10"),
            ("listen.ttl", "0", "set a listen.ttl:1:12"),
            ("reply.rate", "much", "set a reply.rate:1:12"),
            ("reply.rates", "1/s", "did you mean `rate`?"),
            ("join", "239.1.2.3", "cannot be heard here"),
            ("share", "false", "port 7 of 127.0.0.1 is used twice"),
            ("share", "perhaps", "must be true or false"),
            ("name", "c", "write another one down, and reload"),
        ] {
            let pairs = [(key.to_owned(), value.to_owned())];
            let problems = with_settings(&before, "a", &pairs).unwrap().into_result().unwrap_err();
            let told = problems.render(false);
            assert!(told.contains(words) && told.contains('^'), "{key}: {told}");
        }
    }
}
