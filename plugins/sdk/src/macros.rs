//! `config!` and `choices!`: the options of a plugin as a struct and as enums.

/// Declares the options of a plugin and makes the struct that holds them.
///
/// ```
/// use polyport_plugin::{Ratio, choices, config};
/// use std::time::Duration;
///
/// choices! {
///     /// What an answer says.
///     #[derive(Clone, Copy, Debug, PartialEq)]
///     pub enum Reply { Same = "same", Length = "length" }
/// }
///
/// config! {
///     /// Options of the plugin.
///     #[derive(Debug)]
///     pub struct Options {
///         drop: Ratio = "2.5%", "Share of datagrams that get no answer";
///         delay: Duration = "0ms", "Time every answer waits", max = 60_000_000_000_u64;
///         reply: Reply = "same", "What an answer says";
///         size: u16 = "512", "Largest answer, bytes", min = 1, max = 1400;
///         key: String = required, "Shared secret", secret;
///         seed: Option<i64> = none, "Makes a run repeat";
///         level: i64 = -3, "How loud", min = -10;
///         steps: Vec<Duration> = "1s, 2s, 4s", "How long to wait between attempts";
///     }
/// }
/// ```
///
/// A line is `name: Type = default, "help", attributes;`. The default is a literal written as in the
/// configuration file, or `required`, or `none` for an [`Option`]. Attributes are `min = n` and `max = n`
/// (durations in nanoseconds, sizes in bytes), `secret` (never printed), and `reads` and `writes` of a text that is a
/// path: the daemon confines handlers (`daemon/docs/security.md`) and lets them read what is at the one, and write files
/// in the directory of the other. Types are those that
/// implement [`OptionType`](crate::OptionType): `bool`, integers, `f64`, [`Ratio`](crate::Ratio),
/// [`Duration`](core::time::Duration), [`Size`](crate::Size), [`String`], enumerations made by
/// [`choices!`](crate::choices), [`SocketAddr`](core::net::SocketAddr), [`Json`](crate::Json), and an
/// [`Option`] and a [`Vec`] of each; not a list of [`Json`](crate::Json). An array of the configuration is a list, and so is a text with
/// commas between its elements.
///
/// A set of options that is declared elsewhere by this macro, in this crate or another, is a field as well: `nested` puts its
/// options under the name of the field, and `flattened` takes them as they are called.
///
/// ```
/// use polyport_plugin::testing::Harness;
/// use polyport_plugin::{Batch, Config, Error, Handler, Ratio, Setup, config};
///
/// config! {
///     /// What a line does to datagrams.
///     #[derive(Debug)]
///     pub struct Line {
///         loss: Ratio = "0%", "Share of datagrams that are lost";
///     }
/// }
///
/// config! {
///     #[derive(Debug)]
///     pub struct Options {
///         seed: Option<i64> = none, "Makes a run repeat";
///         up: Line = nested, "What comes in";
///         down: Line = nested, "What leaves";
///     }
/// }
///
/// let names: Vec<&str> = Options::OPTIONS.iter().map(|option| option.name()).collect();
/// assert_eq!(names, ["seed", "up.loss", "down.loss"]);
/// # #[derive(Debug)]
/// # struct Lossy(Options);
/// # impl Handler for Lossy {
/// #     type Config = Options;
/// #     fn new(options: Options, _: &mut Setup<'_>) -> Result<Self, Error> { Ok(Self(options)) }
/// #     fn on_batch(&mut self, batch: &mut Batch<'_>) {
/// #         for datagram in batch {
/// #             datagram.reply(self.0.up.loss.get().to_string().as_bytes());
/// #         }
/// #     }
/// # }
/// // In a file: `up.loss = "10%"`, or `up = { loss = "10%" }`, or a table `[listen.options.up]`.
/// let mut harness = Harness::<Lossy>::new(&[("up.loss", "10%")]);
/// # harness.send("192.0.2.1:1", b"");
/// # assert_eq!(harness.sent()[0].payload, b"0.1");
/// ```
///
/// Two options with one name do not compile, nor does an option whose name is that of a set:
///
/// ```compile_fail
/// polyport_plugin::config! { pub struct Line { loss: u8 = 0, "Share"; } }
/// polyport_plugin::config! { pub struct Options { loss: u8 = 0, "Share"; line: Line = flattened; } }
/// ```
///
/// ```compile_fail
/// polyport_plugin::config! { pub struct Line { loss: u8 = 0, "Share"; } }
/// polyport_plugin::config! { pub struct More { up: u8 = 0, "Share"; } }
/// polyport_plugin::config! { pub struct Options { up: Line = nested; more: More = flattened; } }
/// ```
///
/// A default that is out of its bounds, or none of the choices, does not compile:
///
/// ```compile_fail
/// polyport_plugin::config! {
///     pub struct Options {
///         size: u16 = "1500", "Largest answer, bytes", max = 1400;
///     }
/// }
/// ```
#[macro_export]
macro_rules! config {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($field:ident: $type:ty = $default:tt $($negative:literal)?
            $(, $help:literal $(, $attr:ident $(= $bound:expr)?)*)?;)+
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $(#[doc = $crate::__help!($field $(, $help)?)] pub $field: $type,)+
        }

        impl $crate::Config for $name {
            const OPTIONS: &'static [$crate::config::Opt] = {
                const PARTS: &[$crate::config::Part] = &[$(
                    $crate::__part!(
                        ($default $($negative)?), $field, $type $(, $help $(, $attr $(= $bound)?)*)?
                    ),
                )+];
                const NAMES: [u8; $crate::config::name_bytes(PARTS)] = $crate::config::names(PARTS);
                const ALL: [$crate::config::Opt; $crate::config::count(PARTS)] =
                    $crate::config::join(PARTS, &NAMES);
                &ALL
            };

            fn from_values(
                mut values: &[$crate::config::Value<'_>],
            ) -> ::core::result::Result<Self, $crate::Error> {
                ::core::result::Result::Ok(Self {
                    $($field: $crate::__read!(($default $($negative)?), $field, $type, &mut values)?,)+
                })
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __help {
    ($field:ident) => {
        ::core::concat!("The options of `", ::core::stringify!($field), "`.")
    };
    ($field:ident, $help:literal) => {
        $help
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __part {
    ((nested), $field:ident, $type:ty $(, $help:literal)?) => {
        $crate::config::Part::set(::core::stringify!($field), <$type as $crate::Config>::OPTIONS)
    };
    ((flattened), $field:ident, $type:ty $(, $help:literal)?) => {
        $crate::config::Part::set("", <$type as $crate::Config>::OPTIONS)
    };
    ($default:tt, $field:ident, $type:ty, $help:literal $(, $attr:ident $(= $bound:expr)?)*) => {
        $crate::config::Part::One(
            $crate::__default!(
                $default,
                $crate::config::Declare::new::<$type>(
                    ::core::concat!(::core::stringify!($field), "\0"),
                    ::core::concat!($help, "\0"),
                )
            )
            $(.$attr($($bound as f64)?))*
            .done(),
        )
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __read {
    ((nested), $field:ident, $type:ty, $values:expr) => {
        $crate::config::read_set::<$type>($values, ::core::stringify!($field))
    };
    ((flattened), $field:ident, $type:ty, $values:expr) => {
        $crate::config::read_set::<$type>($values, "")
    };
    ($default:tt, $field:ident, $type:ty, $values:expr) => {
        $crate::config::read::<$type>($values, ::core::stringify!($field))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __default {
    ((none), $declare:expr) => {
        $declare
    };
    ((required), $declare:expr) => {
        $declare.required()
    };
    ((- $number:literal), $declare:expr) => {
        $declare.default(::core::concat!("-", $number, "\0"))
    };
    (($text:literal), $declare:expr) => {
        $declare.default(::core::concat!($text, "\0"))
    };
}

/// Makes an enumeration that can be an option: `choices! { pub enum Reply { Same = "same" } }`. See
/// [`config!`](crate::config).
#[macro_export]
macro_rules! choices {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $(#[$first_meta:meta])* $first:ident = $first_text:literal
        $(, $(#[$rest_meta:meta])* $rest:ident = $rest_text:literal)* $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name {
            $(#[$first_meta])*
            #[doc = ::core::concat!("Written `", $first_text, "`.")]
            $first,
            $($(#[$rest_meta])*
            #[doc = ::core::concat!("Written `", $rest_text, "`.")]
            $rest,)*
        }

        impl $crate::OptionType for $name {
            const KIND: u32 = $crate::abi::OPT_ENUM;
            const CHOICES: ::core::option::Option<&'static ::core::ffi::CStr> =
                ::core::option::Option::Some($crate::config::literal(
                    ::core::concat!($first_text $(, "|", $rest_text)*, "\0"),
                ));

            fn read(
                value: $crate::config::Value<'_>,
            ) -> ::core::result::Result<Self, ::std::string::String> {
                const ALL: &[fn() -> $name] = &[|| $name::$first $(, || $name::$rest)*];
                let $crate::config::Value::Choice(index) = value else {
                    return ::core::result::Result::Err($crate::config::wrong(value));
                };
                ::core::convert::TryInto::<usize>::try_into(index)
                    .ok()
                    .and_then(|index| ALL.get(index))
                    .map(|make| make())
                    .ok_or_else(|| $crate::config::wrong(value))
            }
        }
    };
}
