//! What a table `[sandbox]` and arguments of `--sandbox` say, and what is wrong with them.

use std::path::Path;

use super::{LISTEN, NAMES, codes, shows, toml};
use crate::config::{
    Plan, Problems, Sandbox, Source, Switch, from_listen_args_with, parse_with, with_sandbox_args,
};

fn sandbox(text: &str) -> Sandbox {
    toml(&format!("{text}\n{LISTEN}")).unwrap().sandbox
}

fn with_args(text: &str, args: &[&str]) -> Result<Plan, Problems> {
    let reading = parse_with(Source::new("etc/polyport.toml", text), Path::new("etc"), &NAMES);
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    with_sandbox_args(reading, &args).into_result()
}

/// Paths as texts.
fn paths(granted: &[crate::config::Granted]) -> Vec<&str> {
    granted.iter().map(|granted| granted.path.to_str().unwrap()).collect()
}

#[test]
fn by_default_everything_is_given_up_that_can_be_and_nobody_else_serves() {
    let Sandbox { user, group, capabilities, seccomp, landlock, network, broker, read, write } = sandbox("");
    assert_eq!((user, group, network, broker), (None, None, false, true));
    assert_eq!([capabilities, seccomp, landlock], [Switch::IfPossible; 3]);
    assert!(read.is_empty() && write.is_empty() && broker);
}

#[test]
fn every_key_is_read() {
    let read = sandbox(
        "[sandbox]\nuser = 'nobody'\ngroup = 65534\ncapabilities = 'on'\nseccomp = 'off'\nlandlock = 'on'\n\
         network = 'open'\nread = 'data'\nwrite = ['log', '/var/log/polyport']",
    );
    assert_eq!(read.user.as_ref().unwrap().text, "nobody");
    assert_eq!(read.group.as_ref().unwrap().text, "65534");
    assert_eq!((read.capabilities, read.seccomp, read.landlock), (Switch::On, Switch::Off, Switch::On));
    assert!(read.network && !sandbox("sandbox.network = 'closed'").network);
    assert!(read.broker && !sandbox("sandbox.broker = 'off'").broker);
    assert_eq!(paths(&read.read), ["etc/data"], "relative paths start at the directory of the file");
    assert_eq!(paths(&read.write), ["etc/log", "/var/log/polyport"]);
}

#[test]
fn one_word_gives_nothing_up() {
    let off = sandbox("sandbox = 'off'");
    assert_eq!([off.capabilities, off.seccomp, off.landlock], [Switch::Off; 3]);
    assert_eq!(off, Sandbox::off());
    assert_ne!(off, Sandbox::default());
}

#[test]
fn the_command_line_comes_last_and_its_paths_are_its_own() {
    let text = format!("[sandbox]\nuser = 'one'\nwrite = '/a'\n{LISTEN}");
    let plan = with_args(&text, &["user=two,seccomp=off", "write=b", "write=\"c,d\""]).unwrap();
    assert_eq!(plan.sandbox.user.as_ref().unwrap().text, "two");
    assert_eq!(plan.sandbox.seccomp, Switch::Off);
    assert_eq!(paths(&plan.sandbox.write), ["/a", "b", "c,d"]);
    // The word forgets what was said before it, and nothing behind it.
    let plan = with_args(&text, &["off", "landlock=on"]).unwrap();
    assert_eq!((plan.sandbox.user, plan.sandbox.seccomp), (None, Switch::Off));
    assert_eq!(plan.sandbox.landlock, Switch::On);
}

#[test]
fn what_a_later_argument_takes_back_is_told() {
    let told = |args: &[&str]| with_args(LISTEN, args).unwrap().overridden().to_vec();
    for args in [&["user=a"][..], &["user=a", "seccomp=off"], &["write=a", "write=b"], &["off", "user=a"]] {
        assert!(told(args).is_empty(), "{args:?}");
    }
    assert_eq!(told(&["user=a,seccomp=on", "user=b"]), ["--sandbox says `user` twice: the last one counts"]);
    assert_eq!(told(&["user=a", "off"]), ["--sandbox off takes back the --sandbox before it"]);
    assert!(told(&["off", "off"]).is_empty());
    assert_eq!(told(&["user=a", "off", "user=b"]).len(), 1, "what was forgotten is not said twice");
}

#[test]
fn where_a_word_stands_makes_no_difference_to_what_is_meant() {
    let (one, other) = (sandbox("[sandbox]\nuser = 'a'"), sandbox("\n\n[sandbox]\nuser =   'a'"));
    assert_ne!(one.user.as_ref().unwrap().span, other.user.as_ref().unwrap().span);
    assert_eq!(one, other);
    for different in ["user = 'b'", "group = 'a'", "read = 'a'", "write = 'a'", "network = 'open'"] {
        assert_ne!(sandbox(&format!("[sandbox]\n{different}")), one, "{different}");
    }
    for layer in ["capabilities", "seccomp", "landlock"] {
        assert_ne!(sandbox(&format!("[sandbox]\nuser = 'a'\n{layer} = 'on'")), one, "{layer}");
    }
}

#[test]
fn mistakes_in_the_table_have_carets() {
    shows(
        &format!(
            "{LISTEN}[sandbox]\nuser = true\nseccomp = 'yes'\nnetwork = 'off'\nwrite = ['', 7]\nusr = 'x'\n"
        ),
        "\
error: `user` must be a name or a number
 --> etc/polyport.toml:5:8
  |
5 | user = true
  |        ^^^^ this is a boolean

error: invalid value for `seccomp`
 --> etc/polyport.toml:6:11
  |
6 | seccomp = 'yes'
  |           ^^^^^ expected \"on\" or \"off\"

error: invalid value for `network`
 --> etc/polyport.toml:7:11
  |
7 | network = 'off'
  |           ^^^^^ expected \"closed\" or \"open\"

error: invalid value for `write`
 --> etc/polyport.toml:8:10
  |
8 | write = ['', 7]
  |          ^^ expected a path, not ``

error: `write` must be a string or an array of strings
 --> etc/polyport.toml:8:14
  |
8 | write = ['', 7]
  |              ^ this is an integer

error: unknown key `usr` in [sandbox]
 --> etc/polyport.toml:9:1
  |
9 | usr = 'x'
  | ^^^
  |
  = help: did you mean `user`?
",
    );
    for (text, code) in [
        ("sandbox = 'on'", "bad-value"),
        ("sandbox = true", "wrong-type"),
        ("sandbox.user = ''", "bad-value"),
    ] {
        assert_eq!(codes(&toml(&format!("{text}\n{LISTEN}")).unwrap_err()), [code], "{text}");
    }
}

#[test]
fn mistakes_on_the_command_line_have_carets_too() {
    let args = ["on", "seccomp=1", "user=a,user=b", "nonsense=1"].map(str::to_owned);
    let listen = from_listen_args_with(&["127.0.0.1:1=echo".to_owned()], &NAMES);
    let shown = with_sandbox_args(listen, &args).into_result().unwrap_err().render(false);
    assert_eq!(
        shown,
        "\
error: the argument of --sandbox is neither `off` nor KEY=VALUE[,KEY=VALUE]...
 --> --sandbox:1:1
  |
1 | on
  | ^^ there is no `=`
  |
  = help: for example --sandbox user=nobody or --sandbox landlock=off

error: invalid value for `seccomp`
 --> --sandbox:1:9
  |
1 | seccomp=1
  |         ^ expected \"on\" or \"off\"

error: `user` is given twice
 --> --sandbox:1:8
  |
1 | user=a,user=b
  | ----   ^^^^ again here
  | |
  | first here

error: unknown key `nonsense` of --sandbox
 --> --sandbox:1:1
  |
1 | nonsense=*
  | ^^^^^^^^
  |
  = help: valid keys: user, group, capabilities, seccomp, landlock, network, broker, read, write
",
        "\n{shown}"
    );
}
