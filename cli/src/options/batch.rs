//! What `tessera submit` hands in: flags, a batch's lines or a folder's pictures in; the flags of each job out.

use std::{
    ffi::OsStr,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use tessera_proto::limits;

use super::{Submit, image::bytes_of, submit};
use crate::{
    args::SubmitArgs,
    told::{self, Batch, Place},
};

/// Most jobs of a batch.
const MOST: usize = limits::REMEMBERED;

/// Most bytes of a batch's file.
const BYTES: usize = 64 << 20;

/// Endings of the pictures that a job may start from.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];

/// One job, or several.
#[derive(Debug)]
pub(crate) enum Items {
    /// The flags as they are.
    One(Box<SubmitArgs>),
    /// Each with its own.
    Several(Vec<Item>),
}

/// One of several jobs.
#[derive(Debug)]
pub(crate) struct Item {
    /// Where it comes from.
    pub(crate) source: Source,
    args: SubmitArgs,
}

/// What a job was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A batch's line.
    Line(Place),
    /// A folder's picture.
    Picture(PathBuf),
}

/// Why several jobs cannot be handed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A line that says nothing that can be understood.
    #[error(transparent)]
    Told(#[from] told::Error),
    /// A line whose job cannot be done.
    #[error("{place}: {source}")]
    Line {
        /// The line.
        place: Place,
        /// Why.
        source: Box<super::Error>,
    },
    /// A batch or a folder without a job.
    #[error("{} holds no {what}", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// More jobs than are handed in at once.
    #[error("{} holds {count} jobs, the limit is {MOST}, of which a coordinator keeps the pictures: make several of it", path.display())]
    Many {
        /// The file or folder.
        path: PathBuf,
        /// Jobs in it.
        count: usize,
    },
    /// A batch or a folder that cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Standard input, which is read once, for several jobs.
    #[error("several jobs cannot read their prompt from standard input: say it on the command line")]
    Inputs,
}

/// The jobs that the flags ask for.
///
/// # Errors
/// The batch or the folder cannot be read, a line cannot be used, or there is no job or too many.
pub(crate) fn items(args: SubmitArgs) -> Result<Items, Error> {
    let folder = args.job.picture.image.clone().filter(|path| path.is_dir());
    let (path, what, items) = match (args.batch.clone(), folder) {
        (Some(path), _) => {
            let items = lines(args, &path)?;
            (path, "job: write a JSON object on each line, as in {\"prompt\": \"a red house\"}", items)
        }
        (None, Some(path)) => {
            let items = pictures(&args, &path)?;
            (path, "picture (PNG, JPEG, WebP, BMP, TIFF)", items)
        }
        (None, None) => return Ok(Items::One(Box::new(args))),
    };
    if items.is_empty() {
        return Err(Error::Empty { path, what });
    }
    if MOST < items.len() {
        return Err(Error::Many { path, count: items.len() });
    }
    if items.iter().any(|item| item.args.job.picture.prompt.as_deref() == Some("-")) {
        return Err(Error::Inputs);
    }
    Ok(Items::Several(items))
}

/// A job for each line of the batch at `path`.
fn lines(args: SubmitArgs, path: &Path) -> Result<Vec<Item>, Error> {
    let failed = |reason| Error::Unreadable { path: path.to_owned(), reason };
    let bytes = bytes_of(path, BYTES).map_err(failed)?;
    let bytes = bytes.ok_or_else(|| failed(format!("it has more than {BYTES} bytes: make several of it")))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
    let lines = Batch::new(args.told).read(&text, path)?;
    Ok(lines.into_iter().map(|(place, args)| Item { source: Source::Line(place), args }).collect())
}

/// A job for each picture in the folder `path`, in the order of their names.
fn pictures(args: &SubmitArgs, path: &Path) -> Result<Vec<Item>, Error> {
    let failed = |error: io::Error| Error::Unreadable { path: path.to_owned(), reason: error.to_string() };
    let entries = fs::read_dir(path).map_err(failed)?;
    let entries = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>();
    let mut files: Vec<PathBuf> =
        entries.map_err(failed)?.into_iter().filter(|path| is_picture(path) && path.is_file()).collect();
    files.sort();
    let item = |picture: PathBuf| {
        let mut args = args.clone();
        args.job.picture.image = Some(picture.clone());
        Item { source: Source::Picture(picture), args }
    };
    Ok(files.into_iter().map(item).collect())
}

fn is_picture(path: &Path) -> bool {
    let is_one = |ending: &OsStr| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known));
    path.extension().is_some_and(is_one)
}

// === impl Item ===

impl Item {
    /// Validates it, with its picture read: once to see whether all can be handed in, and again to do so, since the
    /// pictures of all of them may be more than the memory.
    ///
    /// # Errors
    /// As [`submit`], with its line named.
    pub(crate) fn submit(&self) -> Result<Submit, super::Error> {
        submit(&self.args).map_err(|error| match &self.source {
            Source::Line(place) => Error::Line { place: place.clone(), source: Box::new(error) }.into(),
            // What is wrong with a picture names it.
            Source::Picture(_) => error,
        })
    }
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(place) => place.fmt(f),
            Self::Picture(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use tempfile::TempDir;

    use super::*;
    use crate::{
        args::{Cli, Command},
        told,
    };

    fn asked(words: &[&str]) -> Result<Items, Error> {
        let line =
            ["tessera", "submit", "--coordinator", "http://h:1"].into_iter().chain(words.iter().copied());
        let Ok(Cli { command: Command::Submit(args), .. }) = told::read(line.map(OsString::from)) else {
            panic!("not a submit: {words:?}");
        };
        items(*args)
    }

    fn several(words: &[&str]) -> Vec<Item> {
        match asked(words).unwrap() {
            Items::Several(items) => items,
            Items::One(_) => panic!("one job: {words:?}"),
        }
    }

    #[test]
    fn a_folder_is_a_job_for_each_picture_in_the_order_of_names() {
        let folder = TempDir::new().unwrap();
        for name in ["b.PNG", "a.jpeg", "notes.txt", "c.webp"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        fs::create_dir(folder.path().join("d.png")).unwrap();
        let path = folder.path().to_str().unwrap();
        let items = several(&["a cat", "--image", path]);
        let sources: Vec<_> = items.iter().map(|item| item.source.clone()).collect();
        assert_eq!(
            sources,
            ["a.jpeg", "b.PNG", "c.webp"].map(|name| Source::Picture(folder.path().join(name)))
        );
        let refused = items[0].submit().unwrap_err().to_string();
        assert!(refused.contains("a.jpeg"), "{refused}");
        let inner = folder.path().join("d.png").display().to_string();
        let none = asked(&["--image", &inner]).unwrap_err().to_string();
        assert_eq!(none, format!("{inner} holds no picture (PNG, JPEG, WebP, BMP, TIFF)"));
        let inputs = asked(&["-", "--image", path]).unwrap_err().to_string();
        assert!(inputs.contains("standard input"), "{inputs}");
    }

    #[test]
    fn a_line_that_no_cluster_could_do_is_named() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("b.jsonl");
        let batch = |text: &str| {
            fs::write(&path, text).unwrap();
            several(&["--batch", path.to_str().unwrap()])
        };
        let items = batch("{\"prompt\": \"x\"}\n{\"prompt\": \"y\", \"width\": 511}\n{}\n");
        assert!(items[0].submit().is_ok());
        let refused = |index: usize| items[index].submit().unwrap_err().to_string();
        assert!(refused(1).contains("b.jsonl, line 2: width is 511 px"), "{}", refused(1));
        assert!(refused(2).contains("b.jsonl, line 3: no prompt"), "{}", refused(2));
        fs::write(&path, " \n\n").unwrap();
        let none = asked(&["x", "--batch", path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(none.contains("b.jsonl holds no job: write a JSON object on each line"), "{none}");
        fs::write(&path, "{}\n".repeat(257)).unwrap();
        let many = asked(&["x", "--batch", path.to_str().unwrap()]).unwrap_err().to_string();
        assert!(many.contains("b.jsonl holds 257 jobs, the limit is 256"), "{many}");
        let absent = asked(&["--batch", "no/b.jsonl"]).unwrap_err().to_string();
        assert_eq!(absent, "cannot read no/b.jsonl: there is no such file");
    }
}
