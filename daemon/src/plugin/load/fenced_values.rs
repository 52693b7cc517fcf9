//! Checked values in memory of their own, for the test of a plugin: it is taken away when `create` has returned.
#![expect(unsafe_code, reason = "reads the members of unions by the types that stand beside them")]

use std::io;
use std::slice;

use polyport_abi::{OPT_JSON, OPT_LIST, OPT_STRING, pp_val, pp_value};

use crate::exchange::{Array, Holds};

/// Values, and all they point to, behind which nothing may be touched.
#[derive(Debug)]
pub(super) struct FencedValues {
    pub(super) raw: Array<pp_value>,
    lists: Vec<Array<pp_value>>,
    /// Texts with their NUL.
    texts: Vec<Array<u8>>,
}

impl FencedValues {
    /// A copy of values that this crate has made.
    ///
    /// # Errors
    /// The system has no such memory.
    pub(super) fn copy(values: &[pp_value]) -> io::Result<Self> {
        let (mut lists, mut texts) = (Vec::new(), Vec::new());
        let mut raw = values.to_vec();
        for value in &mut raw {
            if value.kind & OPT_LIST != 0 {
                // SAFETY: the type says that it is a list.
                let list = unsafe { value.v.list };
                // SAFETY: it has `len` values.
                let items = unsafe { slice::from_raw_parts(list, value.len as usize) };
                let mut items = items.to_vec();
                items.iter_mut().try_for_each(|item| text(item, &mut texts))?;
                let list = Array::fenced(&items, Holds::Values)?;
                value.v = pp_val { list: list.as_ptr() };
                lists.push(list);
            } else {
                text(value, &mut texts)?;
            }
        }
        Ok(Self { raw: Array::fenced(&raw, Holds::Values)?, lists, texts })
    }

    /// Takes all of it away.
    pub(super) fn close(&self) -> io::Result<()> {
        self.raw.close()?;
        self.lists.iter().try_for_each(Array::close)?;
        self.texts.iter().try_for_each(Array::close)
    }
}

/// Has a value that is a text point to a fenced copy of it.
fn text(value: &mut pp_value, texts: &mut Vec<Array<u8>>) -> io::Result<()> {
    if value.kind != OPT_STRING && value.kind != OPT_JSON {
        return Ok(());
    }
    // SAFETY: the type says that it is a text.
    let text = unsafe { value.v.str };
    // SAFETY: it has `len` bytes, and a NUL behind them.
    let bytes = unsafe { slice::from_raw_parts(text.cast::<u8>(), value.len as usize + 1) };
    let copy = Array::fenced(bytes, Holds::Values)?;
    value.v = pp_val { str: copy.as_ptr().cast() };
    texts.push(copy);
    Ok(())
}
