//! The C header and the crate `polyport-abi` are one contract: a C program prints every size, offset and
//! constant of the header, and this test does the same for the crate.
//!
//! The lines of the C program are made from the same list as the Rust ones, so a field cannot be forgotten on
//! one side only; that none is forgotten on both is seen by adding up the sizes.

use std::collections::BTreeSet;
use std::fs;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use polyport_abi as abi;
use polyport_abi::{
    pp_addr, pp_batch, pp_create, pp_dgram, pp_error, pp_event, pp_host, pp_ident, pp_opt, pp_plugin,
    pp_session, pp_session_info, pp_tx, pp_value,
};
use polyport_tests::plugins::{compile, fixture};
use polyport_tests::process::Process;

/// The lines of the C program that print one struct, and what it has to print.
#[derive(Default)]
struct Facts {
    c_lines: String,
    expected: BTreeSet<String>,
}

/// `field` is a name on both sides, `field as other` where C calls it `other`, since `type` is a keyword.
macro_rules! fields {
    ($facts:ident, $struct:ident { $($field:ident $(as $c:literal)?),* $(,)? }) => {
        $facts.add("SIZE", &format!("size {} {}", stringify!($struct), size_of::<$struct>()), stringify!($struct));
        let mut end = 0;
        $({
            let (offset, size) = (offset_of!($struct, $field), size_of_field(|s: &$struct| &raw const s.$field));
            let name = [$($c,)? stringify!($field)][0];
            let fact = format!("field {}.{name} {offset} {size}", stringify!($struct));
            $facts.add("FIELD", &fact, &format!("{}, {name}", stringify!($struct)));
            assert_eq!(offset, end, "a field before {}.{name} is not in the list", stringify!($struct));
            end = offset + size;
        })*
        assert_eq!(end, size_of::<$struct>(), "a field at the end of {} is not in the list", stringify!($struct));
    };
}

macro_rules! constants {
    ($facts:ident, $($name:ident),* $(,)?) => {
        $($facts.add("CONST", &format!("const PP_{} {}", stringify!($name), i64::from(abi::$name)),
            concat!("PP_", stringify!($name)));)*
    };
}

impl Facts {
    fn add(&mut self, word: &str, fact: &str, arguments: &str) {
        self.c_lines.push_str(&format!("{word}({arguments});\n"));
        self.expected.insert(fact.to_owned());
    }
}

fn size_of_field<S, F>(_: impl Fn(&S) -> *const F) -> usize {
    size_of::<F>()
}

#[test]
fn every_size_offset_and_constant_of_the_header_is_that_of_the_crate() {
    let mut facts = Facts::default();
    boundary_structs(&mut facts);
    batch_structs(&mut facts);
    session_structs(&mut facts);
    constants(&mut facts);
    facts.expected.insert(format!("text symbol {}", abi::SYMBOL.to_str().unwrap()));
    facts.expected.insert(format!("text magic {}", std::str::from_utf8(&abi::MAGIC).unwrap()));
    facts.expected.insert(format!("const IDENT_SIZE {}", abi::IDENT_SIZE));

    let dir = tempfile::tempdir().unwrap();
    let (lines, program) = (dir.path().join("lines.h"), dir.path().join("layout"));
    fs::write(&lines, &facts.c_lines).unwrap();
    let define = format!("-DLINES=\"{}\"", lines.display());
    if !compile("cc", &fixture("layout"), &["-std=c11", "-Wall", "-Wextra", "-Werror", &define], &program) {
        return;
    }
    let printed = Process::spawn(&mut Command::new(&program)).finish();
    printed.expect_code(0);
    let printed: BTreeSet<String> = printed.stdout.lines().map(str::to_owned).collect();
    let (only_c, only_rust): (Vec<_>, Vec<_>) =
        (printed.difference(&facts.expected).collect(), facts.expected.difference(&printed).collect());
    assert!(only_c.is_empty() && only_rust.is_empty(), "C says {only_c:#?}, Rust says {only_rust:#?}");
    assert!(printed.len() > 150, "only {} facts", printed.len());
}

fn batch_structs(facts: &mut Facts) {
    fields!(facts, pp_addr { ip, port, family, reserved, scope });
    fields!(
        facts,
        pp_dgram {
            data,
            len,
            cap,
            peer,
            local,
            rx_ns,
            ifindex,
            tos,
            flags,
            hop_limit,
            verdict,
            session,
            user
        }
    );
    fields!(facts, pp_tx { data, len, rx, at_ns, segment, tos, flags, run, to, from, session, reserved });
    fields!(
        facts,
        pp_batch {
            size,
            rx_len,
            rx,
            tx,
            tx_len,
            tx_cap,
            arena,
            arena_len,
            arena_cap,
            now_ns,
            wall_offset_ns,
            ctx,
            host,
            max_payload,
            log_level,
            refused,
            delay_datagrams,
            delay_bytes,
            handling,
            reserved
        }
    );
}

fn session_structs(facts: &mut Facts) {
    fields!(
        facts,
        pp_session { size, flags, to, from, user, idle_ns, rx, recv_buffer, send_buffer, reserved }
    );
    fields!(facts, pp_session_info { size, flags, id, user, opened_ns, heard_ns, client, upstream, local });
    fields!(
        facts,
        pp_event {
            size,
            kind,
            session,
            user,
            reason,
            count,
            mtu,
            err,
            reporter,
            opened_ns,
            up_datagrams,
            up_bytes,
            down_datagrams,
            down_bytes,
            dropped,
            client,
            upstream,
            local
        }
    );
}

fn boundary_structs(facts: &mut Facts) {
    fields!(
        facts,
        pp_host {
            size,
            abi_minor,
            name,
            version,
            log,
            metric,
            timer,
            flush,
            extension,
            reserve,
            release,
            want,
            session_open,
            session_close,
            session_set,
            wake,
            ticket,
            answer,
            group
        }
    );
    fields!(facts, pp_opt { name, help, def, choices, min, max, kind as "type", flags, reserved });
    fields!(facts, pp_value { kind as "type", len, v, addr });
    fields!(facts, pp_error { size, opt, msg });
    fields!(
        facts,
        pp_create {
            size,
            why,
            ctx,
            host,
            values,
            n_values,
            state_version,
            state,
            state_len,
            seed,
            now_ns,
            listener,
            local,
            secret,
            sessions,
            n_sessions,
            session_stride
        }
    );
    fields!(
        facts,
        pp_ident {
            magic,
            abi_major,
            abi_minor,
            min_host_minor,
            ident_size,
            layout,
            flags,
            name,
            version,
            toolchain,
            about
        }
    );
    fields!(
        facts,
        pp_plugin {
            ident,
            size,
            n_options,
            options,
            create,
            destroy,
            on_batch,
            on_timer,
            check,
            reconfigure,
            save,
            extension,
            on_session,
            rescue,
            on_wake
        }
    );
}

fn constants(facts: &mut Facts) {
    constants!(facts, ABI_MAJOR, ABI_MINOR, LAYOUT, F_PANIC_ABORT, F_DEBUG, OK, ERROR, FATAL, UNSUPPORTED);
    constants!(facts, RX_TRUNCATED, RX_MULTICAST, RX_BROADCAST, RX_HAS_LOCAL, RX_KERNEL_TIME, RX_HAS_TOS);
    constants!(facts, VERDICT_NONE, VERDICT_DISCARD, TX_TO, TX_FROM, TX_PROVED, TX_DF, NO_RX);
    constants!(facts, TX_SESSION, TX_CLIENT, SESSION_IDLE_RX, SESSION_DF, SESSION_TOS, EV_CLOSED, EV_ERROR);
    constants!(facts, END_ASKED, END_IDLE, END_NO_PORT, END_NO_FILE, END_LIMIT, END_REFUSED_ADDR, END_BROKEN);
    constants!(facts, END_RESTART, NET_REFUSED, NET_UNREACHABLE, NET_TOO_BIG, NET_FORBIDDEN, NET_OTHER);
    constants!(facts, SET_USER, SET_IDLE, SET_CLIENT);
    constants!(facts, WANT_TOS, WANT_HOPS, WANT_LOCAL, WANT_TIME, WANT_LONE_TIME, GROUP_LEAVE, GROUP_JOIN);
    facts.add("CONST", &format!("const PP_TICKET_AGE_NS {}", abi::TICKET_AGE_NS), "PP_TICKET_AGE_NS");
    constants!(facts, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE, COUNTER, GAUGE);
    constants!(facts, OPT_BOOL, OPT_INT, OPT_FLOAT, OPT_RATIO, OPT_DURATION, OPT_SIZE, OPT_STRING, OPT_ENUM);
    constants!(
        facts,
        OPT_ADDR,
        OPT_JSON,
        OPT_LIST,
        OPT_REQUIRED,
        OPT_SECRET,
        OPT_READS,
        OPT_WRITES,
        WHY_START,
        WHY_RESTART,
        WHY_RELOAD
    );
}

/// Every constant the header defines is in the list above: the other direction of forgetting.
#[test]
fn every_constant_of_the_header_is_compared() {
    let header = polyport_tests::plugins::repository().join("plugins/abi/include/polyport_plugin.h");
    let mut facts = Facts::default();
    constants(&mut facts);
    let text = fs::read_to_string(header).unwrap();
    let defined = text.lines().filter_map(|line| line.strip_prefix("#define PP_")?.split_whitespace().next());
    for name in defined.filter(|name| !name.contains('(') && !["PLUGIN_H", "EXPORT"].contains(name)) {
        assert!(facts.c_lines.contains(&format!("CONST(PP_{name});")), "PP_{name} is not compared");
    }
}

#[test]
fn the_header_compiles_without_a_warning_as_c11_cpp17_and_cpp20() {
    let dir = tempfile::tempdir().unwrap();
    let include = "#include \"polyport_plugin.h\"\n";
    let (c, cpp) = (dir.path().join("header.c"), dir.path().join("header.cpp"));
    let body = "int use(pp_batch *b) { pp_prove(b); pp_close(b, pp_open(b, NULL)); return pp_echo(b, 0) + PP_HAS(b, refused)\n\
         + pp_delay(b, 1) + pp_to_session_run(b, 0, 2, 1) + pp_to_client_run(b, 0, 2)\n\
         + pp_answer(b, pp_ticket(b, 0, 1), \"\", 0) + pp_wake(b->host, b->ctx); }\n";
    fs::write(&c, [include, "int use(pp_batch *b);\n", body].concat()).unwrap();
    fs::write(&cpp, [include, "int use(pp_batch *b);\n", body].concat()).unwrap();
    let strict = |compiler: &str, standard: &str, source: &Path| {
        let flags = [standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-c"];
        compile(compiler, source, &flags, &dir.path().join("object.o"))
    };
    strict("cc", "-std=c11", &c);
    strict("c++", "-std=c++17", &cpp);
    strict("c++", "-std=c++20", &cpp);
}
