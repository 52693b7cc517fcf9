//! What a library was built with, what it needs and what it shows to others.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, SHT_GNU_VERNEED, SHT_SYMTAB};
use polyport_abi::SYMBOL;
use polyport_terminal::Escaped;

use super::elf::{Elf, text};

/// Names of each kind that are told; the rest are counted.
const MOST_NAMES: usize = 64;
/// Characters of a name that are told.
const LONGEST_NAME: usize = 256;
/// Steps through the versions that a library needs, which are chained by offsets.
const MOST_VERSIONS: usize = 4096;

/// What an ELF file tells about itself. Texts are escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Compilers and linkers that took part (`.comment`), each once.
    pub compilers: Vec<String>,
    /// Libraries that it needs.
    pub needed: Vec<String>,
    /// Where it looks for them before the system does.
    pub search: Vec<String>,
    /// The newest version of the GNU C library that a symbol of it needs, such as `2.34`.
    pub glibc: Option<String>,
    /// Symbols that it exports besides its table.
    pub exports: Vec<String>,
    /// How many more of these there are.
    pub more_exports: usize,
    /// Whether the symbols for debuggers were taken out (`strip(1)`).
    pub stripped: bool,
}

/// Reads what is known.
pub(super) fn read(elf: &Elf<'_>) -> Parts {
    let (dynamic, texts) = elf.dynamic();
    let named = |tag: object::elf::DynamicTag| {
        let entries = dynamic.iter().filter(move |(found, _)| *found == tag.0).take(MOST_NAMES);
        entries.filter_map(move |(_, at)| Some(told(text(texts, u32::try_from(*at).ok()?)?)))
    };
    // Where there is a DT_RUNPATH, nobody asks for a DT_RPATH.
    let paths: Vec<String> = named(DT_RUNPATH).collect();
    let paths = if paths.is_empty() { named(DT_RPATH).collect() } else { paths };
    let others = elf.exported().filter(|(name, _)| *name != SYMBOL.to_bytes());
    let mut exports: Vec<&[u8]> = others.map(|(name, _)| name).collect();
    exports.sort_unstable();
    exports.dedup();
    Parts {
        compilers: compilers(elf),
        needed: named(DT_NEEDED).collect(),
        search: paths.iter().flat_map(|list| list.split(':')).map(str::to_owned).collect(),
        glibc: glibc(elf),
        more_exports: exports.len().saturating_sub(MOST_NAMES),
        exports: exports.into_iter().take(MOST_NAMES).map(told).collect(),
        stripped: elf.section(SHT_SYMTAB).is_none(),
    }
}

/// The texts of `.comment`, in the order of the file.
fn compilers(elf: &Elf<'_>) -> Vec<String> {
    let Some(comment) = elf.named(b".comment") else { return Vec::new() };
    let mut found = Vec::new();
    for line in elf.data(comment).split(|byte| *byte == 0).filter(|line| !line.is_empty()).take(MOST_VERSIONS)
    {
        let line = told(line);
        if !found.contains(&line) && found.len() < MOST_NAMES {
            found.push(line);
        }
    }
    found
}

/// The newest `GLIBC_x.y` among the versions that the library needs: `.gnu.version_r`, a chain of libraries each with a
/// chain of versions (Linux Standard Base, symbol versioning).
fn glibc(elf: &Elf<'_>) -> Option<String> {
    let section = elf.section(SHT_GNU_VERNEED)?;
    let (data, texts) = (elf.data(section), elf.texts(section));
    let half =
        |at: usize| data.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u16::from_ne_bytes);
    let word =
        |at: usize| data.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_ne_bytes);
    let offset = |at: usize| word(at).and_then(|offset| usize::try_from(offset).ok());
    let (mut newest, mut steps) = (None, 0);
    let mut need = 0;
    while let (Some(count), Some(first), Some(next)) = (half(need + 2), offset(need + 8), offset(need + 12)) {
        let mut version = need + first;
        for _ in 0..count {
            steps += 1;
            let (Some(name), Some(further)) = (word(version + 8), offset(version + 12)) else { break };
            newest = newest.max(text(texts, name).and_then(glibc_version));
            if further == 0 || steps > MOST_VERSIONS {
                break;
            }
            version += further;
        }
        steps += 1;
        if next == 0 || steps > MOST_VERSIONS {
            break;
        }
        need += next;
    }
    let numbers: Vec<u32> = newest?;
    Some(numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

/// The numbers of `GLIBC_2.34`; none for other names, such as `GLIBC_PRIVATE`.
fn glibc_version(name: &[u8]) -> Option<Vec<u32>> {
    let numbers = std::str::from_utf8(name.strip_prefix(b"GLIBC_")?).ok()?;
    numbers.split('.').map(|number| number.parse().ok()).collect()
}

/// A text of a stranger, safe to print.
fn told(text: &[u8]) -> String {
    Escaped(text.get(..LONGEST_NAME).unwrap_or(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let version = |text: &str| glibc_version(text.as_bytes());
        assert!(version("GLIBC_2.34") > version("GLIBC_2.4"));
        assert!(version("GLIBC_2.2.5") > version("GLIBC_2.2"));
        assert_eq!([version("GLIBC_PRIVATE"), version("GCC_3.0"), version("GLIBC_")], [None, None, None]);
    }

    #[test]
    fn a_name_of_a_stranger_is_cut_and_escaped() {
        assert_eq!(told(b"a\x1b[1m"), "a\\u{1b}[1m");
        assert_eq!(told(&[b'x'; 1000]).len(), LONGEST_NAME);
    }
}
