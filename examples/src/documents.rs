//! What the manual pages of the clients say beside their command lines.

use polyport_terminal::{Documents, Manual};

/// The manual pages and completions of every client.
pub const DOCUMENTS: Documents = Documents {
    manual: Manual {
        section: "1",
        of: "polyport",
        environment: &[
            (
                "POLYPORT_LOG",
                "Which lines are logged to standard error, as env_logger reads it: `debug`, for example.",
            ),
            (
                "NO_COLOR",
                "Where it is set and not empty, there are no colours. `CLICOLOR_FORCE=1` wants them everywhere.",
            ),
        ],
        files: &[],
        see_also: &[
            "polyport-cast(1)",
            "polyport-frame(1)",
            "polyport-load(1)",
            "polyport-mtu(1)",
            "polyport-plot(1)",
            "polyport-request(1)",
            "polyport-spoof(1)",
            "polyport(8)",
        ],
    },
};
