//! Options: declared by the plugin as a struct, parsed and checked by the host.

use core::ffi::CStr;
use core::net::SocketAddr;
use core::time::Duration;

use polyport_abi as abi;

use crate::default;
use crate::error::Error;
use crate::parts::plain;

pub use crate::opt::Opt;
#[doc(hidden)]
pub use crate::parts::{Part, count, join, name_bytes, names};
pub use crate::value::{List, Value};

/// The configuration of a plugin: `()`, or a struct made by [`config!`](crate::config).
pub trait Config: Sized + 'static {
    /// The options, in the order of the values.
    const OPTIONS: &'static [Opt];

    /// Makes the struct from the values the host parsed.
    ///
    /// # Errors
    /// Names the option that does not fit.
    fn from_values(values: &[Value<'_>]) -> Result<Self, Error>;
}

impl Config for () {
    const OPTIONS: &'static [Opt] = &[];

    fn from_values(_: &[Value<'_>]) -> Result<Self, Error> {
        Ok(())
    }
}

/// A Rust type that can be an option.
pub trait OptionType: Sized {
    /// The `OPT_*` kind the host parses.
    const KIND: u32;
    /// Names of an enumeration, `"a|b|c"`.
    const CHOICES: Option<&'static CStr> = None;
    /// Whether the type holds less than the kind, so that the host has to check the range.
    const NARROW: bool = false;
    /// Smallest value, in the unit of [`Value`].
    const LOW: f64 = f64::MIN;
    /// Largest value.
    const HIGH: f64 = f64::MAX;

    /// Takes the value, or says what is wrong with it.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn read(value: Value<'_>) -> Result<Self, String>;
}

/// A share from 0 to 1, written `"2.5%"` or `0.025`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratio(f64);

impl Ratio {
    /// Never.
    pub const ZERO: Self = Self(0.0);
    /// Always.
    pub const ONE: Self = Self(1.0);

    /// `None` outside 0..=1 and for NaN.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// True for this share of all 64-bit numbers.
    #[must_use]
    pub fn hit(self, random: u64) -> bool {
        // 53 bits fit a double exactly; 2^-53 scales them to 0..1.
        const SCALE: f64 = 1.0 / 9_007_199_254_740_992.0;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
        let unit = (random >> 11) as f64 * SCALE;
        unit < self.0
    }
}

/// A number of bytes, written `"64KiB"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Anything, as its JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json(pub String);

/// The largest signed integer of the configuration, as the host compares it.
const INT_HIGH: f64 = 9_223_372_036_854_775_807.0;

macro_rules! option_type {
    ($type:ty, $kind:ident, [$($const:tt)*], $pattern:pat => $value:expr) => {
        impl OptionType for $type {
            const KIND: u32 = abi::$kind;
            $($const)*
            fn read(value: Value<'_>) -> Result<Self, String> {
                match value {
                    $pattern => $value,
                    other => Err(wrong(other)),
                }
            }
        }
    };
}

option_type!(bool, OPT_BOOL, [], Value::Bool(b) => Ok(b));
option_type!(i64, OPT_INT, [const LOW: f64 = -INT_HIGH; const HIGH: f64 = INT_HIGH;], Value::Int(i) => Ok(i));
option_type!(f64, OPT_FLOAT, [], Value::Float(f) => Ok(f));
option_type!(Ratio, OPT_RATIO, [const LOW: f64 = 0.0; const HIGH: f64 = 1.0;],
    Value::Ratio(f) => Self::new(f).ok_or_else(|| format!("{f} is not between 0 and 1")));
option_type!(Duration, OPT_DURATION, [const LOW: f64 = 0.0; const HIGH: f64 = INT_HIGH;],
    Value::Duration(ns) => u64::try_from(ns).map(Self::from_nanos).map_err(|_| "a duration cannot be negative".into()));
option_type!(Size, OPT_SIZE, [const LOW: f64 = 0.0; const HIGH: f64 = INT_HIGH;],
    Value::Size(n) => u64::try_from(n).map(Self).map_err(|_| "a size cannot be negative".into()));
option_type!(String, OPT_STRING, [], Value::Text(s) => Ok(s.to_owned()));
option_type!(Json, OPT_JSON, [], Value::Json(s) => Ok(Self(s.to_owned())));
option_type!(SocketAddr, OPT_ADDR, [], Value::Addr(a) => Ok(a));

macro_rules! narrow {
    ($($type:ty: $low:expr, $high:expr;)*) => {$(
        option_type!($type, OPT_INT,
            [const NARROW: bool = true; const LOW: f64 = $low; const HIGH: f64 = $high;],
            Value::Int(i) => Self::try_from(i).map_err(|_| format!("{i} is not between {} and {}", Self::MIN, Self::MAX)));
    )*};
}

narrow! {
    u8: 0.0, 255.0;
    u16: 0.0, 65_535.0;
    u32: 0.0, 4_294_967_295.0;
    u64: 0.0, INT_HIGH;
    i32: -2_147_483_648.0, 2_147_483_647.0;
}

/// Not given is `None`. Give no default to such an option.
impl<T: OptionType> OptionType for Option<T> {
    const KIND: u32 = T::KIND;
    const CHOICES: Option<&'static CStr> = T::CHOICES;
    const NARROW: bool = T::NARROW;
    const LOW: f64 = T::LOW;
    const HIGH: f64 = T::HIGH;

    fn read(value: Value<'_>) -> Result<Self, String> {
        if value == Value::Missing { Ok(None) } else { T::read(value).map(Some) }
    }
}

/// Any number of them, written as an array, or on the command line with commas between: `"53,123"`. Bounds are those of an
/// element. Not of lists, and not of [`Json`].
impl<T: OptionType> OptionType for Vec<T> {
    const KIND: u32 = {
        assert!(
            T::KIND & abi::OPT_LIST == 0 && T::KIND != abi::OPT_JSON,
            "a list has no lists and no JSON in it"
        );
        abi::OPT_LIST | T::KIND
    };
    const CHOICES: Option<&'static CStr> = T::CHOICES;
    const NARROW: bool = T::NARROW;
    const LOW: f64 = T::LOW;
    const HIGH: f64 = T::HIGH;

    fn read(value: Value<'_>) -> Result<Self, String> {
        let Value::List(list) = value else { return Err(wrong(value)) };
        let numbered = (1..).zip(list.iter());
        numbered
            .map(|(at, value)| T::read(value).map_err(|message| format!("element {at}: {message}")))
            .collect()
    }
}

/// The sentence for a value of another kind.
#[doc(hidden)]
#[must_use]
pub fn wrong(value: Value<'_>) -> String {
    if value == Value::Missing {
        "is required".into()
    } else {
        format!("the host passed {value:?}, which is not of the declared kind")
    }
}

/// Takes the next of `values` for one field; what [`config!`](crate::config) expands to.
#[doc(hidden)]
pub fn read<T: OptionType>(values: &mut &[Value<'_>], name: &str) -> Result<T, Error> {
    let value = values.split_off_first().copied().unwrap_or(Value::Missing);
    T::read(value).map_err(|message| Error::option(name, message))
}

/// Takes the next of `values` for a field that is a set of options; what [`config!`](crate::config) expands to.
#[doc(hidden)]
pub fn read_set<C: Config>(values: &mut &[Value<'_>], under: &str) -> Result<C, Error> {
    let own = values.split_off(..C::OPTIONS.len().min(values.len())).unwrap_or_default();
    C::from_values(own).map_err(|error| error.under(under))
}

/// Declares one option; what [`config!`](crate::config) expands to.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Declare {
    opt: Opt,
    kind: u32,
    default: Option<&'static CStr>,
    choices: Option<&'static CStr>,
    min: Option<f64>,
    max: Option<f64>,
    low: f64,
    high: f64,
    narrow: bool,
}

#[doc(hidden)]
impl Declare {
    #[must_use]
    pub const fn new<T: OptionType>(name: &'static str, help: &'static str) -> Self {
        let mut opt = Opt::new(literal(plain(name)), literal(help), T::KIND);
        if let Some(choices) = T::CHOICES {
            opt = opt.choices(choices);
        }
        let (kind, choices, low, high, narrow) = (T::KIND, T::CHOICES, T::LOW, T::HIGH, T::NARROW);
        Self { opt, kind, default: None, choices, min: None, max: None, low, high, narrow }
    }

    #[must_use]
    pub const fn default(mut self, text: &'static str) -> Self {
        let text = literal(text);
        self.opt = self.opt.default(text);
        self.default = Some(text);
        self
    }

    #[must_use]
    pub const fn required(mut self) -> Self {
        self.opt = self.opt.flag(abi::OPT_REQUIRED);
        self
    }

    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.opt = self.opt.flag(abi::OPT_SECRET);
        self
    }

    #[must_use]
    pub const fn reads(mut self) -> Self {
        self.opt = self.opt.flag(abi::OPT_READS);
        self
    }

    #[must_use]
    pub const fn writes(mut self) -> Self {
        self.opt = self.opt.flag(abi::OPT_WRITES);
        self
    }

    #[must_use]
    pub const fn min(mut self, min: f64) -> Self {
        self.min = Some(min);
        self
    }

    #[must_use]
    pub const fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    #[must_use]
    pub const fn done(self) -> Opt {
        let low = if let Some(min) = self.min { min } else { self.low };
        let high = if let Some(max) = self.max { max } else { self.high };
        assert!(low <= high, "an option's min is above its max");
        if let Some(text) = self.default {
            default::check(self.kind, text, self.choices, Some((low, high)));
        }
        let bounded = self.narrow || self.min.is_some() || self.max.is_some();
        if bounded { self.opt.bounds(low, high) } else { self.opt }
    }
}

/// A literal that ends in NUL, as the macros make it. A NUL elsewhere is a compile error.
#[doc(hidden)]
#[must_use]
#[expect(clippy::panic, reason = "evaluated by the compiler: a compile error")]
pub const fn literal(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("NUL inside the text of an option"),
    }
}
