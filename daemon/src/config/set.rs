//! Other options for one listener of a plan that is served: not of a text, and so gone when the text is read again.

use super::Reading;
use super::plan::{Plan, RawOption, RawValue};
use super::problem::{Source, Span};

/// `before` with these options of the plugin of a listener, each a name and the text of its value, as `--listen` takes it. None if
/// there is no such listener.
#[must_use]
pub fn with_options(before: &Plan, listener: &str, options: &[(String, String)]) -> Option<Reading> {
    let mut plan = before.clone();
    let mut texts = plan.texts.to_vec();
    let listen = plan.listen.iter_mut().find(|listen| listen.name == listener)?;
    for (name, value) in options {
        // The text of an option that was set before goes: however often it is set, there is one.
        let origin = format!("set {listener} {name}");
        let text = Source::new(origin.as_str(), format!("{name}={value}"));
        let source = match texts.iter().position(|other| other.origin == origin) {
            Some(at) => at,
            None => {
                texts.push(text.clone());
                texts.len() - 1
            }
        };
        let name_span = Span { source, range: 0..name.len() };
        let value_span = Span { source, range: name.len() + 1..text.text.len() };
        plan.veiled.retain(|place| place.source != source);
        plan.veiled.push(value_span.clone());
        if let Some(place) = texts.get_mut(source) {
            *place = text;
        }
        let value = RawValue::Text(value.clone());
        let option =
            RawOption { name: name.clone(), name_span, value, value_span, element_spans: Vec::new() };
        match listen.options.iter_mut().find(|other| other.name == *name) {
            Some(other) => *other = option,
            None => listen.options.push(option),
        }
    }
    plan.texts = texts.into();
    let mut problems = plan.problems();
    plan.reveal(&[], &mut problems);
    Some(Reading { plan, problems })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_listen_args;

    fn set(before: &Plan, options: &[(&str, &str)]) -> Plan {
        let options: Vec<_> = options.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        with_options(before, "a", &options).unwrap().into_result().unwrap()
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
        assert!(with_options(&plan, "c", &[]).is_none());
    }
}
