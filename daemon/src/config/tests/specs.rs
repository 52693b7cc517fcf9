//! `--listen` arguments.

use super::super::{OnFault, RawOption, RawValue};
use super::{addresses, codes, names, specs};

fn options(options: &[RawOption]) -> Vec<(&str, &RawValue)> {
    options.iter().map(|option| (option.name.as_str(), &option.value)).collect()
}

#[test]
fn settings_go_to_the_listener_and_the_rest_to_the_plugin() {
    let spec = "127.0.0.1:7000-7001=lossy,loss=10%,name=far,recv_buffer=4MiB,on_fault=exit,seed=7,bind=x";
    let mut plan = specs(&[spec, "[::1]:syslog=echo"]).unwrap();
    assert_eq!(names(&plan), ["far", "echo"]);
    assert_eq!(addresses(&plan), ["127.0.0.1:7000", "127.0.0.1:7001", "[::1]:514"]);
    let listen = &plan.listen[0];
    assert_eq!((listen.socket.recv_buffer, listen.on_fault), (Some(4 << 20), OnFault::Exit));
    let text = |text: &str| RawValue::Text(text.to_owned());
    assert_eq!(
        options(&listen.options),
        [("loss", &text("10%")), ("seed", &text("7")), ("bind", &text("x"))]
    );
    let loss = plan.listen[0].options[0].value_span.clone();
    assert_eq!(
        &plan.sources()[0].text[loss.range.clone()],
        "***",
        "nobody has said yet that it is no secret"
    );
    let mut problems = plan.problems();
    plan.reveal(&[loss], &mut problems);
    let (source, listen) = (&plan.sources()[0], &plan.listen[0]);
    assert_eq!(source.origin, "--listen");
    assert_eq!(&source.text[listen.options[0].value_span.range.clone()], "10%");
    assert_eq!(&source.text[listen.bind[0].span.range.clone()], "127.0.0.1:7000-7001");
    assert_eq!(plan.listen[1].span.source, 1);
}

#[test]
fn quotes_keep_commas_together() {
    let plan = specs(&[r#"127.0.0.1:1="dir,1/echo.so",a="1,2",b="say \"x\\y\" \z",c=,d=a=b,e=x"y"#]).unwrap();
    let text = |text: &str| RawValue::Text(text.to_owned());
    assert_eq!(plan.listen[0].plugin.text, "dir,1/echo.so");
    assert_eq!(
        options(&plan.listen[0].options),
        [
            ("a", &text("1,2")),
            ("b", &text(r#"say "x\y" \z"#)),
            ("c", &text("")),
            ("d", &text("a=b")),
            ("e", &text("x\"y")),
        ]
    );
}

#[test]
fn no_argument_is_an_empty_plan() {
    assert!(specs(&[]).unwrap().listen.is_empty());
}

#[test]
fn every_argument_is_checked_and_against_the_others() {
    let problems = specs(&[
        "127.0.0.1:7000-7099=echo,name=a,drop=1,2",
        "127.0.0.1:7050=lossy,name=a,x=1,x=2,,=3,",
        "echo",
        "=",
    ])
    .unwrap_err();
    let expected = [
        "syntax", // The `2` has no value.
        "duplicate-bind",
        "duplicate-name",
        "duplicate-key",
        "syntax", // The text `,,`.
        "syntax", // The text `=3`.
        "syntax", // The comma at the end.
        "syntax", // The text `echo`.
        "bad-bind",
        "bad-value", // No plugin.
    ];
    assert_eq!(codes(&problems), expected);
    let places = [0, 1, 1, 1, 1, 1, 1, 2, 3, 3];
    assert_eq!(problems.list().iter().map(|p| p.span.as_ref().unwrap().source).collect::<Vec<_>>(), places);
}

#[test]
fn two_arguments_are_shown_together() {
    let problems = specs(&["127.0.0.1:7000-7099=echo", "127.0.0.1:7050=lossy,loss=\"1"]).unwrap_err();
    let expected = "\
error: port 7050 of 127.0.0.1 is used twice
 --> --listen:1:1
  |
1 | 127.0.0.1:7050=lossy,loss=**
  | ^^^^^^^^^^^^^^ again here
  |
 ::: --listen:1:1
  |
1 | 127.0.0.1:7000-7099=echo
  | ------------------- first used here
  |
  = help: an address and port belongs to one listener: take another port or another address

error: the double quote is not closed
 --> --listen:1:27
  |
1 | 127.0.0.1:7050=lossy,loss=**
  |                           ^^ opened here
  |
  = help: a shell removes quotes: write --listen '127.0.0.1:7000=echo,key=\"one,two\"'
";
    assert_eq!(problems.render(false), expected);
}

#[test]
fn an_argument_without_a_plugin_is_told_the_form() {
    let expected = "\
error: the argument of --listen is not BIND=PLUGIN[,key=value]...
 --> --listen:1:1
  |
1 | 127.0.0.1:7000
  | ^^^^^^^^^^^^^^ there is no `=`
  |
  = help: for example --listen 127.0.0.1:7000=echo or --listen '[::1]:7000=lossy,loss=10%'
";
    assert_eq!(specs(&["127.0.0.1:7000"]).unwrap_err().render(false), expected);
}

#[test]
fn text_behind_a_closing_quote_is_refused() {
    let expected = "\
error: text after the closing quote
 --> --listen:1:23
  |
1 | 127.0.0.1:1=echo,a=****,name=x
  |                       ^ expected a comma or the end
";
    assert_eq!(specs(&["127.0.0.1:1=echo,a=\"1\"2,name=x"]).unwrap_err().render(false), expected);
}
