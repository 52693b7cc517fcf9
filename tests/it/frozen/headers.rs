//! What is kept of a frozen version stays as it is, and the header of today has all of it at the same places.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use polyport_abi::ABI_MINOR;
use polyport_tests::plugins::{compile, fixture, repository};
use polyport_tests::process::Process;
use regex::Regex;
use sha2::{Digest, Sha256};

use super::kept;

/// The minor versions that are kept, with the digest of each file.
const KEPT: [(u16, [(&str, &str); 3]); 2] = [
    (
        0,
        [
            ("polyport_plugin.h", "61c6169bc72df8acdc81489c62e6f380c685687071cff72b014c94acb1ab893e"),
            ("plugin.c", "aac623095153d580a12ad7cb27081fdef1510b9825f937a970f4efd79385d6a9"),
            ("plugin.rs", "51b2ec787445e56d7f121a78c1bb596b12654e23dfca1c0af9f881d192903272"),
        ],
    ),
    (
        3,
        [
            ("polyport_plugin.h", "7a8f551a797a62c463a7ba418a809c3ec382167d057115a79383c9cfee4149f6"),
            ("plugin.c", "1084bd0c3ff32c6410caa01395cbc2c4ffa9148669c19945e4e5800857c6e709"),
            ("plugin.rs", "dd4966e549ac5bda55a15be2bdde8b60f6f557a546d81bc87394c9fd3d0ebb7d"),
        ],
    ),
];

/// What a field of 1.0 is called now: `ecn` were two bits of an octet that is shown whole since 1.3.
const RENAMED: [(&str, &str); 2] = [("pp_dgram.ecn", "pp_dgram.tos"), ("pp_tx.ecn", "pp_tx.tos")];

/// Names and declarations of a header.
#[derive(Debug, Default)]
struct Header {
    constants: BTreeSet<String>,
    /// Struct and field.
    fields: BTreeSet<(String, String)>,
    /// The declarations of functions, by struct and name.
    functions: BTreeMap<String, String>,
}

impl Header {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap().replace("\\\n", " ");
        let text = Regex::new(r"(?s)/\*.*?\*/").unwrap().replace_all(&text, "").into_owned();
        let mut header = Self::default();
        for found in Regex::new(r"(?m)^#define (PP_\w+)[ \t]+\S").unwrap().captures_iter(&text) {
            header.constants.insert(found[1].to_owned());
        }
        header.constants.retain(|name| name != "PP_EXPORT");
        let (inner, function, name) = (
            Regex::new(r"\{[^}]*\}").unwrap(),
            Regex::new(r"\(\*(\w+)\)\(").unwrap(),
            Regex::new(r"(\w+)(?:\[\w+\])*\s*$").unwrap(),
        );
        for found in Regex::new(r"(?s)struct (pp_\w+) \{(.*?)\n\}").unwrap().captures_iter(&text) {
            let (owner, body) = (&found[1], inner.replace_all(&found[2], "").into_owned());
            for declared in body.split(';').map(str::trim).filter(|declared| !declared.is_empty()) {
                let names: Vec<String> = match function.captures(declared) {
                    Some(found) => {
                        let plain = declared.split_whitespace().collect::<Vec<_>>().join(" ");
                        header.functions.insert(format!("{owner}.{}", &found[1]), plain);
                        vec![found[1].to_owned()]
                    }
                    None => {
                        declared.split(',').map(|one| name.captures(one).unwrap()[1].to_owned()).collect()
                    }
                };
                header.fields.extend(names.into_iter().map(|field| (owner.to_owned(), field)));
            }
        }
        header
    }

    /// The structs, each with whether it may grow: it says how long it is.
    fn structs(&self) -> BTreeMap<&str, bool> {
        let names = self.fields.iter().map(|(owner, _)| owner.as_str());
        names.map(|owner| (owner, self.fields.contains(&(owner.to_owned(), "size".to_owned())))).collect()
    }

    /// The lines of a program that prints them all.
    fn lines(&self) -> String {
        let sizes = self.structs().into_keys().map(|owner| format!("SIZE({owner});\n"));
        let fields = self.fields.iter().map(|(owner, field)| format!("FIELD({owner}, {field});\n"));
        let constants = self.constants.iter().map(|name| format!("CONST({name});\n"));
        sizes.chain(fields).chain(constants).collect()
    }

    /// What a C compiler says of it, by name; none without one.
    fn facts(&self, include: &Path) -> Option<BTreeMap<String, Vec<i64>>> {
        let dir = tempfile::tempdir().unwrap();
        let (lines, program) = (dir.path().join("lines.h"), dir.path().join("layout"));
        fs::write(&lines, self.lines()).unwrap();
        let (define, include) =
            (format!("-DLINES=\"{}\"", lines.display()), format!("-I{}", include.display()));
        if !compile("cc", &fixture("layout"), &["-std=c11", &include, &define], &program) {
            return None;
        }
        let printed = Process::spawn(&mut Command::new(&program)).finish();
        let fact = |line: &str| {
            let (kind, rest) = line.split_once(' ')?;
            let (name, numbers) = rest.split_once(' ')?;
            let numbers = numbers.split(' ').map(|number| number.parse().unwrap());
            (kind != "text").then(|| (format!("{kind} {name}"), numbers.collect()))
        };
        Some(printed.expect_code(0).stdout.lines().filter_map(fact).collect())
    }
}

/// Whoever finds this red: see "Frozen" in section 10 of `plugins/ABI.md`.
#[test]
fn what_is_kept_of_a_version_is_never_edited() {
    for (minor, files) in KEPT {
        for (file, digest) in files {
            let path = kept(&format!("1.{minor}")).join(file);
            let found: String =
                Sha256::digest(fs::read(&path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                found,
                digest,
                "{} was edited. It stands for the plugins that people have built with ABI 1.{minor}: take the change back; \
                 if the ABI has grown, give it a new minor and that one a directory of its own (plugins/ABI.md, Frozen)",
                path.display()
            );
        }
    }
}

#[test]
fn the_minor_of_today_is_kept() {
    assert!(
        KEPT.iter().any(|(minor, _)| *minor == ABI_MINOR),
        "ABI 1.{ABI_MINOR} has no directory in tests/it/abi: a new minor gets one (plugins/ABI.md, Frozen)"
    );
    let dirs = fs::read_dir(repository().join("tests/it/abi")).unwrap();
    let dirs: BTreeSet<String> = dirs.map(|dir| dir.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(dirs, KEPT.iter().map(|(minor, _)| format!("1.{minor}")).collect());
}

#[test]
fn all_that_a_kept_header_has_is_where_it_was() {
    let include = repository().join("plugins/abi/include");
    let today = Header::read(&include.join("polyport_plugin.h"));
    let Some(now) = today.facts(&include) else { return };
    for (minor, _) in KEPT {
        let dir = kept(&format!("1.{minor}"));
        let header = Header::read(&dir.join("polyport_plugin.h"));
        let then = header.facts(&dir).unwrap();
        // So that a parser which finds nothing is noticed.
        assert!(then.len() > 120 && header.functions.len() > 12, "{} facts of 1.{minor}", then.len());
        assert_eq!(then["const PP_ABI_MINOR"], [i64::from(minor)]);
        let grows = header.structs();
        for (name, was) in &then {
            let (kind, plain) = name.split_once(' ').unwrap();
            // The minor itself; and what was kept free is what a later minor may use.
            if plain == "PP_ABI_MINOR" || plain.ends_with(".reserved") {
                continue;
            }
            let renamed =
                RENAMED.iter().find(|(old, _)| *old == plain && minor == 0).map_or(plain, |(_, new)| *new);
            let is = now.get(&format!("{kind} {renamed}")).unwrap_or_else(|| panic!("1.{minor} had {name}"));
            let may_grow = kind == "size" && grows[plain] && minor < ABI_MINOR;
            assert!(is == was || may_grow && is > was, "{name}: {was:?} in 1.{minor}, {is:?} now");
        }
        for (name, was) in &header.functions {
            assert_eq!(today.functions.get(name), Some(was), "{name} of 1.{minor}");
        }
        if minor == ABI_MINOR {
            let new: Vec<_> = now.keys().filter(|name| !then.contains_key(*name)).collect();
            assert!(new.is_empty(), "{new:?}: what is new needs a new minor (plugins/ABI.md, Frozen)");
        }
    }
}
