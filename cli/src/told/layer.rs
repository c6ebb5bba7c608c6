//! Arguments by name: what was said and not what is there by default, in; a command line out.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

/// Values of a command's arguments by their ids; a flag has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer(BTreeMap<String, Vec<OsString>>);

// === impl Layer ===

impl Layer {
    /// What a command line says, without what the environment does and what goes without saying.
    pub(super) fn of_matches(command: &Command, matches: &ArgMatches) -> Self {
        let said = command.get_arguments().filter_map(|arg| {
            let id = arg.get_id().as_str();
            let values = matches.try_get_raw(id).ok().flatten()?;
            (matches.value_source(id) == Some(ValueSource::CommandLine)).then(|| {
                let values =
                    if takes_values(arg) { values.map(ToOwned::to_owned).collect() } else { Vec::new() };
                (id.to_owned(), values)
            })
        });
        Self(said.collect())
    }

    /// Adds an argument; `value` is `None` for a flag that stands.
    pub(super) fn add(&mut self, arg: &Arg, value: Option<OsString>) {
        let values = self.0.entry(arg.get_id().as_str().to_owned()).or_default();
        values.extend(value);
    }

    /// Whether an argument is there.
    pub(super) fn has(&self, arg: &Arg) -> bool {
        self.0.contains_key(arg.get_id().as_str())
    }

    /// These with `upper` laid over: an argument that is in it, or that contradicts one of it, is not taken from these.
    pub(super) fn under(mut self, upper: Self, command: &Command) -> Self {
        let args: Vec<&Arg> = command.get_arguments().collect();
        let contradict = |one: &Arg, other: &Arg| {
            let of = |arg| command.get_arg_conflicts_with(arg);
            of(one).iter().any(|arg| arg.get_id() == other.get_id())
                || of(other).iter().any(|arg| arg.get_id() == one.get_id())
        };
        for ours in &args {
            if args.iter().any(|theirs| upper.has(theirs) && contradict(ours, theirs)) {
                self.0.remove(ours.get_id().as_str());
            }
        }
        self.0.extend(upper.0);
        self
    }

    /// The command line that says so.
    pub(super) fn words(&self, command: &Command) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["tessera".into(), command.get_name().into()];
        let mut places = Vec::new();
        for arg in command.get_arguments() {
            let Some(values) = self.0.get(arg.get_id().as_str()) else {
                continue;
            };
            match arg.get_long() {
                None => places.extend(values.iter().cloned()),
                Some(long) if takes_values(arg) => words.extend(values.iter().map(|value| {
                    let mut word = OsString::from(format!("--{long}="));
                    word.push(value);
                    word
                })),
                Some(long) => words.push(format!("--{long}").into()),
            }
        }
        // What stands behind it is a value, also where it begins with a dash.
        words.push("--".into());
        words.extend(places);
        words
    }
}

/// Whether the argument is more than a flag.
pub(super) fn takes_values(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}
