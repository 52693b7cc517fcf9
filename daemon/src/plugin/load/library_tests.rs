//! Files that may not be loaded, and the tables that libraries export.

use std::ffi::c_void;

use polyport_abi::{IDENT_SIZE, LAYOUT, MAGIC, pp_batch, pp_create, pp_error, pp_ident};

use super::*;

extern "C" fn create(_: *const pp_create, _: *mut pp_error) -> *mut c_void {
    ptr::null_mut()
}

extern "C" fn destroy(_: *mut c_void) {}

extern "C" fn on_batch(_: *mut c_void, _: *mut pp_batch) -> i32 {
    0
}

extern "C" fn on_timer(_: *mut c_void, _: *mut pp_batch, _: u64) -> i32 {
    0
}

/// A table with four functions and no options.
fn table() -> pp_plugin {
    let ident = pp_ident {
        magic: MAGIC,
        abi_major: 1,
        abi_minor: 0,
        min_host_minor: 0,
        ident_size: IDENT_SIZE,
        layout: LAYOUT,
        flags: 0,
        name: [0; 40],
        version: [0; 24],
        toolchain: [0; 56],
        about: [0; 104],
    };
    pp_plugin {
        ident,
        size: u32::try_from(size_of::<pp_plugin>()).unwrap(),
        n_options: 0,
        options: ptr::null(),
        create: Some(create),
        destroy: Some(destroy),
        on_batch: Some(on_batch),
        on_timer: Some(on_timer),
        check: None,
        reconfigure: None,
        save: None,
        extension: None,
        on_session: None,
        rescue: None,
        on_wake: None,
    }
}

#[test]
fn of_a_table_no_more_is_read_than_it_has() {
    let needed = offset_of!(pp_plugin, on_timer);
    let copy = |size: usize| copy_table(&pp_plugin { size: u32::try_from(size).unwrap(), ..table() });
    assert!(
        matches!(copy(needed - 1), Err(Cause::ShortTable { size, needed: n }) if (size, n) == (needed - 1, needed))
    );
    assert!(functions(&copy(needed).unwrap()).unwrap().on_timer.is_none());
    for size in [size_of::<pp_plugin>(), 10_000] {
        assert!(functions(&copy(size).unwrap()).unwrap().on_timer.is_some());
    }
}

#[test]
fn without_a_function_that_is_needed_nothing_is_called() {
    for (incomplete, name) in [
        (pp_plugin { create: None, ..table() }, "create"),
        (pp_plugin { destroy: None, ..table() }, "destroy"),
        (pp_plugin { on_batch: None, ..table() }, "on_batch"),
    ] {
        assert!(matches!(functions(&incomplete), Err(Cause::MissingFunction(missing)) if missing == name));
    }
}

fn declared(kind: u32) -> pp_opt {
    pp_opt {
        name: c"x".as_ptr(),
        help: ptr::null(),
        def: ptr::null(),
        choices: ptr::null(),
        min: 0.0,
        max: 0.0,
        kind,
        flags: 0,
        reserved: 0,
    }
}

#[test]
fn a_number_of_options_that_nobody_can_read_is_garbage() {
    let most = vec![declared(OPT_BOOL); MAX_OPTIONS];
    let read = |n: usize, at: *const pp_opt| {
        options(&pp_plugin { n_options: u32::try_from(n).unwrap(), options: at, ..table() })
    };
    assert_eq!(read(MAX_OPTIONS, most.as_ptr()).unwrap().len(), MAX_OPTIONS);
    assert!(matches!(read(MAX_OPTIONS + 1, most.as_ptr()), Err(Cause::BadOptionTable(_))));
    assert!(matches!(read(1, ptr::null()), Err(Cause::BadOptionTable(_))));
    assert!(read(0, ptr::null()).unwrap().is_empty());
}

#[test]
fn each_type_of_option_is_known() {
    for (kind, expected) in [
        (OPT_BOOL, OptionType::Bool),
        (OPT_INT, OptionType::Int),
        (OPT_FLOAT, OptionType::Float),
        (OPT_RATIO, OptionType::Ratio),
        (OPT_DURATION, OptionType::Duration),
        (OPT_SIZE, OptionType::Size),
        (OPT_STRING, OptionType::String),
        (OPT_ADDR, OptionType::Addr),
        (OPT_JSON, OptionType::Json),
    ] {
        let read = option(&declared(kind)).unwrap();
        assert_eq!((read.name.as_str(), read.help.as_str(), read.kind), ("x", "", expected));
        assert_eq!((read.default, read.bounds, read.required, read.secret), (None, None, false, false));
    }
    let colours = option(&pp_opt { choices: c"red|blue".as_ptr(), ..declared(OPT_ENUM) }).unwrap();
    assert_eq!(colours.kind, OptionType::Enum(vec!["red".to_owned(), "blue".to_owned()]));
    assert!(matches!(option(&declared(OPT_ENUM)), Err(Cause::BadOptionTable(_))));
    assert!(matches!(
        option(&pp_opt { name: ptr::null(), ..declared(OPT_BOOL) }),
        Err(Cause::BadOptionTable(_))
    ));
    assert!(matches!(option(&declared(99)), Err(Cause::UnknownOptionType { kind: 99, .. })));
}

#[test]
fn what_else_an_option_declares_is_kept_apart() {
    let int = declared(OPT_INT);
    let read = |o: pp_opt| option(&o).unwrap();
    assert_eq!(read(pp_opt { help: c"h".as_ptr(), ..int }).help, "h");
    assert_eq!(read(pp_opt { def: c"7".as_ptr(), ..int }).default.as_deref(), Some("7"));
    assert_eq!(read(pp_opt { min: -1.0, ..int }).bounds, Some((-1.0, 0.0)));
    assert_eq!(read(pp_opt { max: 1.0, ..int }).bounds, Some((0.0, 1.0)));
    for (flags, expected) in [(OPT_REQUIRED, (true, false)), (OPT_SECRET, (false, true))] {
        let read = read(pp_opt { flags, ..int });
        assert_eq!((read.required, read.secret), expected);
    }
    for (flags, expected) in [
        (0, None),
        (OPT_READS, Some(FileUse::Reads)),
        (OPT_WRITES, Some(FileUse::Writes)),
        (OPT_READS | OPT_WRITES, Some(FileUse::Writes)),
    ] {
        assert_eq!(read(pp_opt { flags, ..int }).file, expected);
    }
}
