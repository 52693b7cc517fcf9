//! The modules of a crate as its sources declare them, and which of them each one names.

use std::collections::BTreeMap;

use crate::scan::{code, line_of};

/// A module, in a file of its own or inline.
#[derive(Debug)]
pub(crate) struct Module {
    /// Path of its file.
    pub(crate) file: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    /// What `use` brings in, by the name it has here.
    imports: Vec<(String, Import)>,
    /// Its code without `use` lines, test code and inline modules. Everything stands where it stands in the file.
    body: String,
}

#[derive(Debug)]
struct Import {
    path: Vec<String>,
    public: bool,
    at: usize,
}

/// `from` names an item that `to` defines: two files of one crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Where it was seen first.
    pub(crate) line: usize,
}

impl Module {
    fn import(&self, name: &str) -> Option<&Import> {
        self.imports.iter().find(|(known, _)| known == name).map(|(_, import)| import)
    }
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A module itself.
    Module(usize),
    /// An item that this module defines.
    Item(usize),
}

/// The modules of the crate whose first file is `root`; `read` has the text of a file by its path.
pub(crate) fn modules<'t>(root: &str, read: &impl Fn(&str) -> Option<&'t str>) -> Vec<Module> {
    let mut all = Vec::new();
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    if let Some(text) = read(root) {
        add(&mut all, root, folder, None, &without_tests(&code(text)), read);
    }
    all
}

/// The arrows between the files of a crate, one for each pair, in order.
pub(crate) fn arrows(all: &[Module]) -> Vec<Arrow> {
    let mut found: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (at, module) in all.iter().enumerate() {
        let used = |name: &str| words_of(&module.body).any(|(_, word)| word == name);
        // A line that only hands a name on is no arrow: the one who imports it from here has the arrow to its home.
        let imports = module.imports.iter().filter(|(name, import)| !import.public || used(name));
        let imports = imports.map(|(_, import)| (import.at, import.path.clone()));
        for (offset, path) in imports.chain(paths(&module.body)) {
            if let Some(Place::Item(to)) = resolve(all, at, &path, 0)
                && all[to].file != module.file
            {
                let pair = (module.file.clone(), all[to].file.clone());
                let line = line_of(&module.body, offset);
                found.entry(pair).and_modify(|first| *first = line.min(*first)).or_insert(line);
            }
        }
    }
    found.into_iter().map(|((from, to), line)| Arrow { from, to, line }).collect()
}

/// Adds a module and, below it, those it declares. `folder` is where their files are.
fn add<'t>(
    all: &mut Vec<Module>,
    file: &str,
    folder: &str,
    parent: Option<usize>,
    code: &str,
    read: &impl Fn(&str) -> Option<&'t str>,
) -> usize {
    let me = all.len();
    let (body, inline, declared) = take_modules(code);
    let (imports, body) = take_imports(&body);
    all.push(Module { file: file.to_owned(), parent, children: BTreeMap::new(), imports, body });
    for (name, code) in inline {
        let child = add(all, file, &format!("{folder}/{name}"), Some(me), &code, read);
        all[me].children.insert(name, child);
    }
    for name in declared {
        let beside = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")];
        let Some((file, text)) = beside.iter().find_map(|path| Some((path, read(path)?))) else { continue };
        let code = without_tests(&self::code(text));
        let child = add(all, file, &format!("{folder}/{name}"), Some(me), &code, read);
        all[me].children.insert(name, child);
    }
    me
}

/// Follows a path from module `from`: through modules, and through names that a module imports or hands on, to
/// the module that defines the item. `None` leads out of the crate.
fn resolve(all: &[Module], from: usize, path: &[String], depth: usize) -> Option<Place> {
    // A name that is imported from a place that imports it from here, as `pub use self::x::x` of a function in
    // a module of its name may look.
    if depth > 16 {
        return None;
    }
    let (mut here, mut started) = (from, false);
    for (at, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" => here = 0,
            "self" => {}
            "super" => here = all[here].parent?,
            name => {
                let module = &all[here];
                if let Some(child) = module.children.get(name) {
                    here = *child;
                } else if let Some(import) = module.import(name).filter(|import| import.path != path) {
                    let onward: Vec<_> = import.path.iter().chain(&path[at + 1..]).cloned().collect();
                    return resolve(all, here, &onward, depth + 1);
                } else {
                    return started.then_some(Place::Item(here));
                }
            }
        }
        started = true;
    }
    Some(Place::Module(here))
}

/// The code with what is compiled for tests alone blanked: each item behind a `cfg` that asks for `test`.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    for (at, _) in code.clone().match_indices("#[cfg(") {
        let attribute = &code[at..at + code[at..].find(']').map_or(0, |end| end + 1)];
        // `not(test)` and `any(test, ..)` are compiled without tests, too.
        let asks = words_of(attribute).any(|(_, word)| word == "test")
            && !words_of(attribute).any(|(_, word)| word == "not" || word == "any");
        if asks {
            let end = at + attribute.len() + item(&code[at + attribute.len()..]);
            blank(&mut code, at, end);
        }
    }
    code
}

/// Length of the item at the beginning of a text: to its semicolon, or to the end of its braces; of a field or a
/// variant, to its comma.
fn item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    // A `use a::{b};` goes on to its semicolon.
                    let more = code[at + 1..].trim_start().starts_with(';');
                    return at + 1 + if more { code[at + 1..].find(';').map_or(0, |end| end + 1) } else { 0 };
                }
            }
            ';' if depth == 0 => return at + 1,
            ',' if depth == 0 && !has_generics(&code[..at]) => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Whether a comma behind this may part generic parameters.
fn has_generics(before: &str) -> bool {
    words_of(before).any(|(_, word)| ["fn", "impl", "trait", "struct", "enum", "type"].contains(&word))
}

/// Inline modules with their code, and the names of those in files; and the rest of the code.
fn take_modules(code: &str) -> (String, Vec<(String, String)>, Vec<String>) {
    let (mut rest, mut inline, mut declared) = (code.to_owned(), Vec::new(), Vec::new());
    for (at, _) in words_of(code).filter(|(_, word)| *word == "mod") {
        // Inside an inline module that was taken already.
        if !rest[at..].starts_with("mod") {
            continue;
        }
        let name = words_of(&code[at + 3..]).next().map_or(String::new(), |(_, name)| name.to_owned());
        let end = at + item(&code[at..]);
        let Some(open) = code[at..end].find('{') else {
            if !name.is_empty() {
                declared.push(name);
            }
            continue;
        };
        let mut inner = code.to_owned();
        blank(&mut inner, 0, at + open + 1);
        blank(&mut inner, end - 1, code.len());
        inline.push((name, inner));
        blank(&mut rest, at, end);
    }
    (rest, inline, declared)
}

/// What the `use` lines bring in; and the code without them.
fn take_imports(code: &str) -> (Vec<(String, Import)>, String) {
    let (mut imports, mut rest) = (Vec::new(), code.to_owned());
    for (at, _) in words_of(code).filter(|(_, word)| *word == "use") {
        let end = at + code[at..].find(';').map_or(0, |end| end + 1);
        // `impl Trait + use<'a>` is none.
        if code[at + 3..].trim_start().starts_with('<') {
            continue;
        }
        let before = code[..at].trim_end();
        let public = before.ends_with("pub") || before.ends_with(')') && before.contains("pub(");
        let mut names = Vec::new();
        tree(code[at + 3..end].trim_end_matches(';'), &[], &mut names);
        for (name, path) in names {
            imports.push((name, Import { path, public, at }));
        }
        blank(&mut rest, at, end);
    }
    (imports, rest)
}

/// The names of a `use` tree with their paths: `a::{b, c as d}` is `b` from `a::b` and `d` from `a::c`.
fn tree(text: &str, before: &[String], names: &mut Vec<(String, Vec<String>)>) {
    let text = text.trim();
    let (head, group) = text.split_once('{').map_or((text, None), |(head, group)| (head, Some(group)));
    let (head, alias) =
        head.split_once(" as ").map_or((head, None), |(head, alias)| (head, Some(alias.trim().to_owned())));
    let mut path = before.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    if let Some(group) = group {
        let group = &group[..group.rfind('}').unwrap_or(group.len())];
        let (mut depth, mut from) = (0_usize, 0);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    tree(&group[from..at], &path, names);
                    from = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    // `a::{self}` is `a`.
    if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
        path.pop();
    }
    if let Some(name) = path.last().filter(|_| !text.is_empty()) {
        names.push((alias.unwrap_or_else(|| name.clone()), path.clone()));
    }
}

/// The paths of two names and more that stand in code.
fn paths(code: &str) -> impl Iterator<Item = (usize, Vec<String>)> + '_ {
    words_of(code).filter(|(at, _)| !code[..*at].ends_with("::")).filter_map(|(at, _)| {
        let rest = &code[at..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
        let names: Vec<String> =
            rest[..end].split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        (names.len() > 1).then_some((at, names))
    })
}

/// The words of code, with their places.
fn words_of(code: &str) -> impl Iterator<Item = (usize, &str)> + '_ {
    let mut at = 0;
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter_map(move |word| {
        let here = at;
        at += word.len();
        at += code[at..].chars().next().map_or(0, char::len_utf8);
        (!word.is_empty()).then_some((here, word))
    })
}

/// Puts spaces in the place of everything but line ends.
fn blank(code: &mut String, from: usize, to: usize) {
    let spaces: String = code[from..to]
        .chars()
        .flat_map(|c| std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8()))
        .collect();
    code.replace_range(from..to, &spaces);
}
