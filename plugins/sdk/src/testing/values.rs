//! Values of options as the ABI has them.

use polyport_abi::{pp_addr, pp_val, pp_value};

use super::options::{Parsed, Value};

/// What values point to.
#[derive(Default)]
pub(super) struct Memory {
    texts: Vec<Vec<u8>>,
    lists: Vec<Vec<pp_value>>,
}

/// The values as the ABI has them, and the memory they point to.
pub(super) fn raw_values(values: &[Parsed]) -> (Vec<pp_value>, Memory) {
    let mut memory = Memory::default();
    let raw = values.iter().map(|Parsed { kind, value }| raw_value(*kind, value, &mut memory)).collect();
    (raw, memory)
}

fn raw_value(kind: u32, value: &Value, memory: &mut Memory) -> pp_value {
    let mut raw = pp_value { kind, len: 0, v: pp_val { i: 0 }, addr: pp_addr::default() };
    match value {
        Value::Missing => raw.kind = 0,
        Value::Int(i) => raw.v.i = *i,
        Value::Float(f) => raw.v.f = *f,
        Value::Addr(addr) => raw.addr = pp_addr::from(*addr),
        Value::Text(text) => {
            raw.len = u32::try_from(text.len()).unwrap_or(0);
            let text = [text.as_bytes(), b"\0"].concat();
            raw.v.str = text.as_ptr();
            memory.texts.push(text);
        }
        Value::List(elements) => {
            let of = kind & !polyport_abi::OPT_LIST;
            let list: Vec<_> = elements.iter().map(|value| raw_value(of, value, memory)).collect();
            raw.len = u32::try_from(list.len()).unwrap_or(0);
            raw.v.list = list.as_ptr();
            memory.lists.push(list);
        }
    }
    raw
}
