//! What parts of the program say to operators: `$TESSERA_LOG` in, lines on standard error out.

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt};

use crate::{args::LogFormat, output::Output};

/// The variable that chooses what is logged, as in `debug` or `tessera_coordinator=trace,warn`.
pub(crate) const VARIABLE: &str = "TESSERA_LOG";

/// Starts logging; `default` holds where [`VARIABLE`] says nothing.
pub(crate) fn start(default: LevelFilter, format: LogFormat, output: &Output) {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let builder = EnvFilter::builder().with_default_directive(default.into());
    let (filter, fault) = match builder.parse(&text) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::default().add_directive(default.into()), Some(error)),
    };
    let writer = output.clone();
    let lines = fmt().with_env_filter(filter).with_writer(move || writer.log_writer());
    match format {
        LogFormat::Text => lines.with_ansi(output.is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    if let Some(error) = fault {
        tracing::warn!("{VARIABLE}={text:?} is ignored: {error}");
    }
}
