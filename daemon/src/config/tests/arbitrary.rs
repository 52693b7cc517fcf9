//! No text makes reading or rendering panic, and every problem has its place in the text.

use proptest::prelude::*;

use super::super::{Plan, Problems};
use super::{specs, toml};

/// Reads further what came out, and checks what holds for every outcome.
fn survives(result: Result<Plan, Problems>) {
    match result {
        Ok(plan) => {
            let counted: usize =
                plan.listen.iter().flat_map(|listen| &listen.bind).map(|bind| bind.addresses().len()).sum();
            assert_eq!(counted, plan.sockets());
            assert!(plan.listen.iter().all(|listen| !listen.bind.is_empty() && !listen.name.is_empty()));
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(problems.render(false).starts_with("error: "));
            assert!(!problems.render(true).is_empty());
            assert_eq!(problems.to_json().lines().count(), problems.list().len().min(1000));
            for span in problems.list().iter().filter_map(|problem| problem.span.as_ref()) {
                assert!(span.range.end <= problems.sources()[span.source].text.len(), "{span:?}");
            }
        }
    }
}

/// Pieces of real configurations in any order come deeper into the readers than random letters do.
fn pieces() -> impl Strategy<Value = String> {
    const PIECES: [&str; 47] = [
        "[[listen]]",
        "[listen.reply]",
        "ports = [53, 7000, -1]",
        "reply = { ttl = 'decay', rate = '5/h' }",
        "amplification = 1e300",
        "[listen]",
        "[limits]",
        "[listen.options]",
        "\n",
        "\r\n",
        "\t",
        " ",
        "=",
        "\"",
        "'",
        ",",
        "[",
        "]",
        "{",
        "}",
        "#",
        "é",
        "\u{1F600}",
        "\u{200b}",
        "\u{7}",
        "\\",
        "bind = \"127.0.0.1:7000-7010\"",
        "bind = [\"[::1]:domain\", 5]",
        "plugin = \"echo\"",
        "plugn = 'x'",
        "name = \"ä\"",
        "options = { a = 1, b.c = [2, {}] }",
        "seed = -1",
        "seed = 99999999999999999999999999999999999999999",
        "visit_bytes = \"1KiB\"",
        "slow_batch = 3",
        "on_fault = \"é\"",
        "recv_buffer = 1.5",
        "x = 1979-05-27",
        "127.0.0.1:7=echo",
        "drop=\"1,é",
        "[fe80::1%é]:9",
        "\"\"\"",
        "1e999",
        "join = ['239.1.2.3 from 192.0.2.7', 'ff02::1 on é']",
        "share = true",
        "bind = '0.0.0.0:7000'",
    ];
    prop::collection::vec(prop::sample::select(&PIECES[..]), 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_as_toml(text in any::<String>()) {
        survives(toml(&text));
    }

    #[test]
    fn any_pieces_as_toml(text in pieces()) {
        survives(toml(&text));
    }

    #[test]
    fn any_lines_of_pieces_as_toml(lines in prop::collection::vec(pieces(), 0..4)) {
        survives(toml(&lines.join("\n")));
    }

    #[test]
    fn any_text_as_a_spec(text in any::<String>(), pieces in pieces()) {
        let tail = format!("127.0.0.1:7=echo,{text}");
        survives(specs(&[&text, &pieces, &tail]));
    }

    #[test]
    fn any_text_as_a_bind_address(host in "\\PC{0,12}", port in "[-0-9a-z+é]{0,8}") {
        let text = toml::Value::String(format!("{host}:{port}"));
        survives(toml(&format!("[[listen]]\nplugin = 'echo'\nbind = {text}")));
    }
}

#[test]
fn deep_nesting_is_a_problem_and_not_a_crash() {
    for depth in [100, 10_000] {
        for text in [
            format!("a = {}{}", "[".repeat(depth), "]".repeat(depth)),
            format!("{}a = 1", "a.".repeat(depth)),
            format!("[{}a]", "a.".repeat(depth)),
            format!("a = {}", "{a=".repeat(depth)),
        ] {
            survives(toml(&text));
        }
    }
}
