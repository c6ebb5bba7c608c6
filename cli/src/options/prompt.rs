//! The prompt's text: an argument or standard input in, a text out.

use std::io::Read;

use tessera_proto::limits;

use super::Error;
use crate::args::PictureArgs;

/// The prompt that the arguments name; `-` is all of `input` without the newline that ends it.
///
/// # Errors
/// There is neither a prompt nor an image, or `input` holds no UTF-8 text.
pub(super) fn read(args: &PictureArgs, input: impl Read) -> Result<String, Error> {
    match args.prompt.as_deref() {
        Some("-") => all_of(input),
        Some(prompt) => Ok(prompt.to_owned()),
        // A picture can be enlarged without a word; drawing without one is a forgotten argument.
        None if args.image.is_some() => Ok(String::new()),
        None => Err(Error::NoPrompt),
    }
}

fn all_of(input: impl Read) -> Result<String, Error> {
    // One byte more than a job takes: the job's own check then says how much is allowed.
    let most = u64::try_from(limits::PROMPT).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let failed = |reason: String| Error::PromptInput { reason };
    input.take(most).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
