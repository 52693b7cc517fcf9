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
        $($field:ident: $type:ty = $default:tt $($negative:literal)?, $help:literal $(, $attr:ident $(= $bound:expr)?)*;)+
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $(#[doc = $help] pub $field: $type,)+
        }

        impl $crate::Config for $name {
            const OPTIONS: &'static [$crate::config::Opt] = &[$(
                $crate::__default!(
                    ($default $($negative)?),
                    $crate::config::Declare::new::<$type>(
                        ::core::concat!(::core::stringify!($field), "\0"),
                        ::core::concat!($help, "\0"),
                    )
                )
                $(.$attr($($bound as f64)?))*
                .done(),
            )+];

            fn from_values(
                values: &[$crate::config::Value<'_>],
            ) -> ::core::result::Result<Self, $crate::Error> {
                let mut values = values.iter();
                ::core::result::Result::Ok(Self {
                    $($field: $crate::config::read::<$type>(
                        values.next(),
                        ::core::stringify!($field),
                    )?,)+
                })
            }
        }
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
