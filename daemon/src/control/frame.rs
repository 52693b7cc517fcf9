//! A line to a request, an answer to a line: JSON-RPC 2.0, one object a line, no batches.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::wire::{Answer, Error, LogLevelParams, METHODS, Request, code};

/// Bytes of a text that is the id of a request: it comes back with the answer.
const ID_BYTES: usize = 256;

/// What stands in the member `id`: text, 64 bits of an integer, or null.
pub(super) type Id = Value;

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) struct Incoming {
    /// None: whoever sends it wants no answer (a notification).
    pub(super) id: Option<Id>,
    pub(super) request: Result<Request, Error>,
}

/// Reads a line. What is no request at all is refused with the id null, as JSON-RPC 2.0 has it.
pub(super) fn read(line: &[u8]) -> Incoming {
    let refused =
        |code, message: String| Incoming { id: Some(Value::Null), request: Err(Error::new(code, message)) };
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return refused(code::PARSE, format!("the line is no JSON: {error}")),
    };
    let mut members = match value {
        Value::Object(members) => members,
        Value::Array(_) => {
            return refused(code::INVALID_REQUEST, "a batch is not taken: one request a line".into());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return refused(code::INVALID_REQUEST, "a request is an object".into());
        }
    };
    let id = members.remove("id");
    if id.as_ref().is_some_and(|id| !is_id(id)) {
        let message = format!("`id` is a text of {ID_BYTES} bytes at most, an integer of 64 bits, or null");
        return refused(code::INVALID_REQUEST, message);
    }
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        let error = Error::new(code::INVALID_REQUEST, "`jsonrpc` has to be \"2.0\"");
        // Whether it is a notification is not known of what is no request.
        return Incoming { id: Some(id.unwrap_or(Value::Null)), request: Err(error) };
    }
    let request = match members.get("method") {
        Some(Value::String(method)) => method_of(&method.clone(), members.remove("params")),
        _ => {
            let error = Error::new(code::INVALID_REQUEST, "`method` has to be a text");
            return Incoming { id: Some(id.unwrap_or(Value::Null)), request: Err(error) };
        }
    };
    Incoming { id, request }
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::String(text) => text.len() <= ID_BYTES,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

fn method_of(method: &str, params: Option<Value>) -> Result<Request, Error> {
    match method {
        "hello" => nothing(params).map(|()| Request::Hello),
        "status" => read_params(params).map(Request::Status),
        "peers" => read_params(params).map(Request::Peers),
        "configuration" => read_params(params).map(Request::Configuration),
        "reload" => nothing(params).map(|()| Request::Reload),
        "plugin-reload" => read_params(params).map(Request::PluginReload),
        "set" => read_params(params).map(Request::Set),
        "add" => read_params(params).map(Request::Add),
        "remove" => read_params(params).map(Request::Remove),
        "pause" => read_params(params).map(Request::Pause),
        "resume" => read_params(params).map(Request::Resume),
        "drain" => read_params(params).map(Request::Drain),
        "log-level" => read_params(params).map(|LogLevelParams { level }| Request::LogLevel(level)),
        "tap" => read_params(params).map(Request::Tap),
        "stop" => nothing(params).map(|()| Request::Stop),
        _ => {
            let message = format!("there is no such method; there are {}", METHODS.join(", "));
            Err(Error::new(code::UNKNOWN_METHOD, message))
        }
    }
}

/// Parameters by name; none are those of an empty object.
fn read_params<T: DeserializeOwned>(params: Option<Value>) -> Result<T, Error> {
    let invalid = |message: String| Error::new(code::INVALID_PARAMS, message);
    let params = match params {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(invalid("`params` has to be an object".into())),
    };
    serde_json::from_value(Value::Object(params)).map_err(|error| invalid(format!("`params`: {error}")))
}

fn nothing(params: Option<Value>) -> Result<(), Error> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    read_params::<Nothing>(params).map(drop)
}

/// An answer as a line with its end.
pub(super) fn written(id: &Id, answer: &Result<Answer, Error>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Response<'a> {
        jsonrpc: &'static str,
        id: &'a Id,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a Answer>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a Error>,
    }
    let response =
        Response { jsonrpc: "2.0", id, result: answer.as_ref().ok(), error: answer.as_ref().err() };
    // Texts, numbers and maps with texts as keys: nothing of it can fail.
    let mut line = serde_json::to_vec(&response).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::wire::{Level, StatusParams};

    fn code_of(line: &str) -> (Option<Id>, Result<Request, i32>) {
        let Incoming { id, request } = read(line.as_bytes());
        (id, request.map_err(|error| error.code))
    }

    #[test]
    fn requests_are_read_with_the_id_that_comes_back() {
        for (id, value) in [("1", json!(1)), ("\"a\"", json!("a")), ("null", json!(null)), ("-9", json!(-9))]
        {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"reload\"}}");
            assert_eq!(code_of(&line), (Some(value), Ok(Request::Reload)), "{line}");
        }
        let notification = r#"{"jsonrpc":"2.0","method":"stop","params":{}}"#;
        assert_eq!(code_of(notification), (None, Ok(Request::Stop)));
        let paged = r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"listener":"a","offset":5}}"#;
        let params = StatusParams { listener: Some("a".into()), offset: 5, limit: None };
        assert_eq!(code_of(paged).1, Ok(Request::Status(params)));
        let level = r#"{"jsonrpc":"2.0","id":1,"method":"log-level","params":{"level":"debug"}}"#;
        assert_eq!(code_of(level).1, Ok(Request::LogLevel(Some(Level::Debug))));
    }

    #[test]
    fn what_is_no_request_is_refused_by_its_kind() {
        let deep = "[".repeat(5000);
        let id = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{}\",\"method\":\"stop\"}}", "x".repeat(257));
        for (line, code) in [
            ("", code::PARSE),
            ("stop", code::PARSE),
            ("{\"a\":", code::PARSE),
            (&deep, code::PARSE),
            ("7", code::INVALID_REQUEST),
            ("[]", code::INVALID_REQUEST),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"stop"}]"#, code::INVALID_REQUEST),
            ("{}", code::INVALID_REQUEST),
            (r#"{"id":1,"method":"stop"}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"1.0","id":1,"method":"stop"}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"stop"}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":99999999999999999999,"method":"stop"}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":{},"method":"stop"}"#, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":true,"method":"stop"}"#, code::INVALID_REQUEST),
            (&id, code::INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"Stop"}"#, code::UNKNOWN_METHOD),
            (r#"{"jsonrpc":"2.0","id":1,"method":"stop","params":[]}"#, code::INVALID_PARAMS),
            (r#"{"jsonrpc":"2.0","id":1,"method":"stop","params":{"x":1}}"#, code::INVALID_PARAMS),
            (r#"{"jsonrpc":"2.0","id":1,"method":"status","params":{"limit":-1}}"#, code::INVALID_PARAMS),
            (r#"{"jsonrpc":"2.0","id":1,"method":"log-level","params":{"level":"x"}}"#, code::INVALID_PARAMS),
        ] {
            let (id, request) = code_of(line);
            assert_eq!(request, Err(code), "{}", line.chars().take(80).collect::<String>());
            assert!(id.is_some(), "{line}");
        }
        assert_eq!(read(b"{\"jsonrpc\":\"\xff\"}").request.unwrap_err().code, code::PARSE);
    }

    #[test]
    fn every_method_is_read() {
        for method in METHODS {
            let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\"}}");
            let request = read(line.as_bytes()).request.map_err(|error| error.code);
            assert_ne!(request, Err(code::UNKNOWN_METHOD), "{method}");
        }
    }

    #[test]
    fn an_answer_is_one_line() {
        let refused = Err(Error::new(code::BUSY, "two\nlines"));
        let line = String::from_utf8(written(&json!("a"), &refused)).unwrap();
        let expected =
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32000,\"message\":\"two\\nlines\"}}\n";
        assert_eq!(line, expected);
    }
}
