//! The exported table of a library, read from its file.

use std::ffi::CString;
use std::mem::offset_of;
use std::ptr;

use polyport_abi::{SYMBOL, pp_opt, pp_plugin};
use polyport_terminal::{Escaped, counted};

use super::elf::Elf;
use crate::plugin::find::Cause;
use crate::plugin::load::{MAX_OPTIONS, OptionSpec, declared_option, declared_options};

/// What a library says that it can do.
#[derive(Clone, Debug)]
pub struct Table {
    /// The options that it declares.
    pub options: Vec<OptionSpec>,
    /// Names of the functions that it has.
    pub functions: Vec<&'static str>,
}

/// The functions of a table, whether each must be there, and where they are.
const FUNCTIONS: &[(&str, bool, usize)] = &[
    ("create", true, offset_of!(pp_plugin, create)),
    ("destroy", true, offset_of!(pp_plugin, destroy)),
    ("on_batch", true, offset_of!(pp_plugin, on_batch)),
    ("on_timer", false, offset_of!(pp_plugin, on_timer)),
    ("check", false, offset_of!(pp_plugin, check)),
    ("reconfigure", false, offset_of!(pp_plugin, reconfigure)),
    ("save", false, offset_of!(pp_plugin, save)),
    ("extension", false, offset_of!(pp_plugin, extension)),
    ("on_session", false, offset_of!(pp_plugin, on_session)),
    ("rescue", false, offset_of!(pp_plugin, rescue)),
    ("on_wake", false, offset_of!(pp_plugin, on_wake)),
];

/// Bytes of a pointer in a table.
const POINTER: usize = 8;

/// Reads the table of a library.
///
/// # Errors
/// What the loader would say of it.
pub(super) fn read(elf: &Elf<'_>) -> Result<Table, Cause> {
    let symbol = SYMBOL.to_bytes();
    let found = elf.exported().find(|(name, _)| *name == symbol);
    let (_, at) = found.ok_or_else(|| Cause::NoSymbol("it is not among its dynamic symbols".into()))?;
    let broken = |what: &str| Cause::BadOptionTable(format!("{what} lies outside of the file"));
    let needed = offset_of!(pp_plugin, on_timer);
    let head = elf.loaded(at, offset_of!(pp_plugin, options)).ok_or_else(|| broken("its pp_plugin"))?;
    let size = usize::try_from(u32_at(&head, offset_of!(pp_plugin, size))).unwrap_or(0);
    if size < needed {
        return Err(Cause::ShortTable { size, needed });
    }
    let table = elf.loaded(at, size.min(size_of::<pp_plugin>())).ok_or_else(|| broken("its pp_plugin"))?;
    let n = usize::try_from(u32_at(&table, offset_of!(pp_plugin, n_options))).unwrap_or(usize::MAX);
    let options = u64_at(&table, offset_of!(pp_plugin, options));
    if n > MAX_OPTIONS || n > 0 && options == 0 {
        return Err(Cause::BadOptionTable(format!("{} at {options:#x}", counted(n, "option", "options"))));
    }
    let options = elf.loaded(options, n * size_of::<pp_opt>()).filter(|_| n > 0);
    if options.is_none() && n > 0 {
        return Err(broken("it"));
    }
    let options = options.unwrap_or_default();
    let options: Result<Vec<_>, _> =
        options.chunks_exact(size_of::<pp_opt>()).map(|bytes| option(elf, bytes)).collect();
    Ok(Table { options: options?, functions: functions(&table)? })
}

/// The table of a plugin that is linked into the program.
///
/// # Errors
/// What the loader would say of it.
pub(super) fn of(table: &pp_plugin) -> Result<Table, Cause> {
    let there: [bool; FUNCTIONS.len()] = [
        table.create.is_some(),
        table.destroy.is_some(),
        table.on_batch.is_some(),
        table.on_timer.is_some(),
        table.check.is_some(),
        table.reconfigure.is_some(),
        table.save.is_some(),
        table.extension.is_some(),
        table.on_session.is_some(),
        table.rescue.is_some(),
        table.on_wake.is_some(),
    ];
    let functions = FUNCTIONS.iter().zip(there).filter(|(_, there)| *there).map(|((name, ..), _)| *name);
    Ok(Table { options: declared_options(table)?, functions: functions.collect() })
}

/// The functions whose pointers are set. A table of an older plugin is shorter.
fn functions(table: &[u8]) -> Result<Vec<&'static str>, Cause> {
    let is_there = |at: usize| at + POINTER <= table.len() && u64_at(table, at) != 0;
    if let Some((name, ..)) = FUNCTIONS.iter().find(|(_, needed, at)| *needed && !is_there(*at)) {
        return Err(Cause::MissingFunction(name));
    }
    Ok(FUNCTIONS.iter().filter(|(.., at)| is_there(*at)).map(|(name, ..)| *name).collect())
}

/// One option, by the same rules as one of a library that is loaded.
fn option(elf: &Elf<'_>, bytes: &[u8]) -> Result<OptionSpec, Cause> {
    let text = |at: usize| {
        let address = u64_at(bytes, at);
        // Nobody vouches for it: what it says is printed.
        let safe = |text: &[u8]| CString::new(Escaped(text).to_string()).ok();
        let text = (address != 0).then(|| elf.text_at(address).and_then(safe));
        match text {
            Some(None) => Err(Cause::BadOptionTable(format!("a text at {address:#x} has no end"))),
            Some(Some(text)) => Ok(Some(text)),
            None => Ok(None),
        }
    };
    let texts = [
        text(offset_of!(pp_opt, name))?,
        text(offset_of!(pp_opt, help))?,
        text(offset_of!(pp_opt, def))?,
        text(offset_of!(pp_opt, choices))?,
    ];
    let [name, help, def, choices] =
        texts.each_ref().map(|text| text.as_ref().map_or(ptr::null(), |text| text.as_ptr()));
    declared_option(&pp_opt {
        name,
        help,
        def,
        choices,
        min: f64::from_bits(u64_at(bytes, offset_of!(pp_opt, min))),
        max: f64::from_bits(u64_at(bytes, offset_of!(pp_opt, max))),
        kind: u32_at(bytes, offset_of!(pp_opt, kind)),
        flags: u32_at(bytes, offset_of!(pp_opt, flags)),
        reserved: 0,
    })
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who adds a function to the table finds it here.
    #[test]
    fn all_functions_of_the_table_are_known() {
        let first = offset_of!(pp_plugin, create);
        let places: Vec<usize> = FUNCTIONS.iter().map(|(.., at)| *at).collect();
        let all: Vec<usize> = (first..size_of::<pp_plugin>()).step_by(POINTER).collect();
        assert_eq!(places, all);
    }

    #[test]
    fn of_a_table_no_more_is_read_than_it_has() {
        let mut table = vec![0; offset_of!(pp_plugin, on_timer)];
        assert!(matches!(functions(&table), Err(Cause::MissingFunction("create"))));
        for (_, _, at) in FUNCTIONS.iter().filter(|(_, needed, _)| *needed) {
            table[*at] = 1;
        }
        assert_eq!(functions(&table).unwrap(), ["create", "destroy", "on_batch"]);
        table.resize(size_of::<pp_plugin>(), 1);
        assert_eq!(functions(&table).unwrap().len(), FUNCTIONS.len());
    }
}
