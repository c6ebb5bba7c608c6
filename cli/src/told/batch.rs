//! A batch: lines of JSON in, the arguments of `tessera submit` with each laid over them out.

use std::path::Path;

use clap::{CommandFactory, FromArgMatches};

use super::{
    Layer,
    file::{self, Error, Place},
};
use crate::args::{Cli, Command, SubmitArgs};

/// What all lines are laid over, and the parser that checks each.
#[derive(Debug)]
pub(crate) struct Batch {
    root: clap::Command,
    told: Layer,
}

// === impl Batch ===

impl Batch {
    /// Lines are laid over `told`.
    pub(crate) fn new(told: Layer) -> Self {
        Self { root: Cli::command(), told }
    }

    /// The arguments of each line of `text`, the batch at `path`; empty lines are none.
    ///
    /// # Errors
    /// A line is no JSON object of a job's keys, or the parser refuses what it says.
    pub(crate) fn read(&mut self, text: &str, path: &Path) -> Result<Vec<(Place, SubmitArgs)>, Error> {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                let place = Place::line(path, number);
                let args = self.line(line, &place)?;
                Ok((place, args))
            })
            .collect()
    }

    fn line(&mut self, text: &str, place: &Place) -> Result<SubmitArgs, Error> {
        let submit = self.root.find_subcommand("submit").expect("it is one of our commands");
        let line = file::of_json(text, place, submit)?;
        let words = self.told.clone().under(line, submit).words(submit);
        let matches = self.root.try_get_matches_from_mut(words);
        let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
        match cli.map_err(|error| Error::refused(place.clone(), &error))?.command {
            Command::Submit(args) => Ok(*args),
            other => unreachable!("the words of a submit are no {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::told;

    fn read(text: &str) -> Result<Vec<(Place, SubmitArgs)>, String> {
        let line =
            ["tessera", "submit", "a cat", "--steps", "7", "--scale", "3", "--coordinator", "http://h:1"];
        let Ok(Cli { command: Command::Submit(args), .. }) = told::read(line.map(OsString::from)) else {
            panic!("not a submit");
        };
        Batch::new(args.told).read(text, Path::new("jobs/b.jsonl")).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_laid_over_the_flags() {
        let text =
            "{\"prompt\": \"a dog\", \"hires_width\": 640}\r\n\n{\"steps\": 9, \"image\": \"a.png\"}\n{}";
        let jobs = read(text).unwrap();
        let places: Vec<_> = jobs.iter().map(|(place, _)| place.to_string()).collect();
        assert_eq!(places, ["jobs/b.jsonl, line 1", "jobs/b.jsonl, line 3", "jobs/b.jsonl, line 4"]);
        let job = |index: usize| &jobs[index].1.job;
        let prompts: Vec<_> = (0..3).map(|index| job(index).picture.prompt.as_deref()).collect();
        assert_eq!(prompts, [Some("a dog"), Some("a cat"), Some("a cat")]);
        assert_eq!(
            (job(0).hires.scale, job(0).hires.hires_width, job(0).sampling.steps),
            (None, Some(640), 7)
        );
        assert_eq!((job(1).sampling.steps, job(1).hires.scale), (9, Some(3.0)));
        assert_eq!(job(1).picture.image.as_deref(), Some(Path::new("jobs/a.png")));
        assert_eq!(jobs[2].1.cluster.coordinator, "http://h:1");
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let refused = |text: &str| read(text).unwrap_err();
        assert!(refused("{}\n{\"steps\": }").starts_with("cannot use jobs/b.jsonl, line 2: it is no JSON: "));
        assert!(refused("[1]").starts_with("cannot use jobs/b.jsonl, line 1: it is no object"));
        assert!(
            refused("{}\n\n{\"stps\": 3}").contains("line 3: unknown key \"stps\": did you mean \"steps\"?")
        );
        assert!(refused("{\"steps\": -3}").contains("line 1: invalid value '-3' for '--steps <N>'"));
        assert!(refused("{\"watch\": true}").contains("give --watch on the command line"));
        assert!(refused("{\"steps\": null}").contains("\"steps\" must be a text or a number"));
    }
}
