//! The keys as a JSON Schema, by which editors complete and check the file as it is written.

use serde_json::{Map, Value, json};

use super::form::{Form, Key, Place, Usual};
use super::table::all;

/// The schema, an object of draft 2020-12. What it accepts may still be refused: addresses, units and what belongs together are
/// checked by `polyport check` alone.
#[must_use]
pub fn schema() -> Value {
    let mut schema = table(Place::Top);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("title".to_owned(), "polyport.toml".into());
        members.insert("description".to_owned(), "The configuration of polyport".into());
        // A file that others include may have listeners only, and a file that includes others may leave them to these.
        members.remove("required");
    }
    schema
}

fn table(place: Place) -> Value {
    let keys = all(place);
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let needed: Vec<&str> =
        keys.iter().filter(|key| matches!(key.usual, Usual::Needed(_))).map(|key| key.name).collect();
    let mut table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !needed.is_empty()
        && let Value::Object(members) = &mut table
    {
        members.insert("required".to_owned(), needed.into());
    }
    table
}

fn property(key: &Key) -> Value {
    let mut property = any_of(key.forms);
    if let Value::Object(members) = &mut property {
        let text = format!("{}. Default: {}.", key.text.replace('`', ""), key.default(""));
        members.insert("description".to_owned(), text.into());
        if let Usual::Value(text) = key.usual
            && let Some(value) = value(text)
        {
            members.insert("default".to_owned(), value);
        }
    }
    property
}

fn any_of(forms: &[Form]) -> Value {
    match forms {
        [form] => of(form),
        _ => json!({ "anyOf": forms.iter().map(of).collect::<Vec<_>>() }),
    }
}

fn of(form: &Form) -> Value {
    match form {
        Form::Flag => json!({ "type": "boolean" }),
        Form::Whole(range) => whole(*range.start(), *range.end()),
        Form::Size(range) => json!({ "anyOf": [
            whole(*range.start(), *range.end()),
            { "type": "string", "pattern": "^[0-9]" },
        ] }),
        Form::Time(_) => json!({ "type": "string", "pattern": "^[0-9.]+ ?[a-z\u{b5}]" }),
        Form::Factor(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Form::Words(words) => json!({ "enum": words }),
        Form::Text(_) => json!({ "type": "string" }),
        Form::List(forms, _) => json!({ "type": "array", "items": any_of(forms) }),
        Form::Table(place) => table(*place),
        Form::Tables(place) => json!({ "type": "array", "items": table(*place) }),
        Form::Free => json!({ "type": "object" }),
    }
}

/// TOML has numbers of 64 bits with a sign: a bound above them is none.
fn whole(least: usize, most: usize) -> Value {
    match i64::try_from(most) {
        Ok(most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Err(_) => json!({ "type": "integer", "minimum": least }),
    }
}

/// The JSON of a value in TOML.
fn value(text: &str) -> Option<Value> {
    let table: toml::Table = format!("value = {text}").parse().ok()?;
    let value = table.get("value")?;
    Some(match value {
        toml::Value::Boolean(value) => (*value).into(),
        toml::Value::Integer(value) => (*value).into(),
        toml::Value::Float(value) => (*value).into(),
        toml::Value::String(value) => value.as_str().into(),
        toml::Value::Array(list) if list.is_empty() => json!([]),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => return None,
    })
}
